# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The JavaScript module on a page of another server, against the real web sink."""

from fractions import Fraction
import threading

import numpy as np
from probes import ROOT, lacking
import pytest

from avatar_bridge.clock import MonotonicClock
from avatar_bridge.frames import Event, FaceFrame, Flags, StreamInfo, TimedAudio, TimedFrame
from avatar_bridge.rig import INDEX, NAMES
from avatar_bridge.sinks.web import WebSink

pytestmark = pytest.mark.browser

THREE = ROOT / 'avatar_bridge' / 'web' / 'node_modules' / 'three'
HEAD = ROOT / 'avatar_bridge' / 'assets' / 'head.glb'
AHEAD = 30_000_000              # ns
LISTEN = """address => {
  window.heard = [];
  window.worn = [];
  window.root = {
    traverse(visit) {
      visit({ name: 'a group' });
      visit(this.mesh);
    },
    mesh: { morphTargetDictionary: { jawOpen: 0, 'Face.M_mouthSmile_L': 1, Fcl_A: 2, nose: 3,
                                     eyeLookUpLeft: 4 },
            morphTargetInfluences: [0, 0, 0, 0.5, 0] },
  };
  window.bridge = new client.AvatarBridge(address);
  window.face = bridge.drive(root, { sources: { Fcl_A: 'mouthFunnel' } });
  for (const kind of ['meta', 'face', 'audio', 'event', 'state', 'failure']) {
    bridge.addEventListener(kind, ({ detail }) => heard.push([kind, detail]));
  }
  const tick = () => {
    const pose = bridge.update();
    if (pose) worn.push([pose.index, ...root.mesh.morphTargetInfluences]);
    requestAnimationFrame(tick);
  };
  tick();
}"""


class Feed:
    """Frames and sound from the real sink at 60 fps; `weights(index)` makes each frame."""

    def __init__(self, site, weights, *, port=0):
        self.weights, self._over = weights, threading.Event()
        self.sink = WebSink.from_argument(f'{port}?origin={site}')
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.sink.open(StreamInfo('run', 'default', NAMES, Fraction(60), Fraction(1, 10), 'live',
                                  16000))
        self.address = f'ws://127.0.0.1:{self.sink.server.port}/ws'
        self.port = self.sink.server.port
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()
        self.sink.close()

    def _run(self):
        clock = MonotonicClock()
        begin, sound = clock.now(), np.zeros(266, np.float32)
        for index in range(100_000):
            due = begin + index * 1_000_000_000 // 60
            if self._over.wait(max(0, due - clock.now()) / 1e9):
                break
            frame = FaceFrame(index, self.weights(index), Flags.SPEECH,
                              np.float32([0.1, 0.2, 0.3]), np.full(4, 0.25, np.float32))
            self.sink.send(TimedFrame(frame, due, due + AHEAD))
            self.sink.hear(TimedAudio(index * 266, sound, 16000, due, due + AHEAD))
        self.sink.notify(Event('end', 'all said'))


def smiling(index):
    weights = np.zeros(52, np.float32)
    weights[INDEX['jawOpen']] = index % 2
    weights[INDEX['mouthSmileLeft']] = 0.25
    weights[INDEX['mouthFunnel']] = 0.75
    return weights


def test_a_page_of_another_server_hears_everything_in_order(site, javascript):
    page = javascript.page
    with Feed(site, smiling) as feed:
        page.evaluate(LISTEN, feed.address)
        page.wait_for_function("heard.filter(([kind]) => kind === 'face').length >= 60")
    page.wait_for_function("heard.some(([kind]) => kind === 'event')")
    heard = page.evaluate("""heard.map(([kind, told]) => (kind === 'face'
        ? [kind, [told.index, ...told.weights], [...told.head], [...told.eyes], told.fps] : kind
        === 'audio' ? [kind, told.start, told.samples.length] : [kind, told]))""")
    worn = page.evaluate('worn')
    page.evaluate('bridge.close()')
    faces = [told for kind, *told in heard if kind == 'face']
    indices = [int(told[0][0]) for told in faces]
    assert indices == list(range(indices[0], indices[0] + len(indices)))    # none lost
    for told, *rest in faces:
        assert np.array_equal(np.float32(told[1:]), smiling(int(told[0])))
        assert np.allclose(rest[0] + rest[1], [0.1, 0.2, 0.3, *[0.25] * 4])
    kinds = {kind for kind, *_ in heard}
    assert kinds >= {'meta', 'face', 'audio', 'event'}
    assert 'failure' not in kinds
    meta = next(told for kind, told in heard if kind == 'meta')
    assert (meta['names'], meta['bundle']) == (list(NAMES), 'live')
    live = np.array([row for row in worn if row[0] < indices[-1]])     # afterwards it rests
    assert len(live) > 5
    assert np.allclose(live[:, 2:], [0.25, 0.75, 0.5, 0])


def test_a_page_nobody_named_is_refused_and_a_server_that_comes_back_is_found(site, javascript):
    page = javascript.page
    with Feed('http://127.0.0.1:1', smiling) as feed:
        page.evaluate(LISTEN, feed.address)
        page.wait_for_function("heard.some(([kind, told]) => kind === 'state' && told === 'lost')")
        assert not page.evaluate("heard.some(([kind]) => kind === 'face')")
    with Feed(site, smiling, port=feed.port):
        page.wait_for_function("heard.some(([kind]) => kind === 'face')")
    page.evaluate('bridge.close()')


def test_sound_is_scheduled_without_gaps_and_with_the_face(site, javascript):
    page = javascript.page
    with Feed(site, smiling) as feed:
        page.evaluate(LISTEN, feed.address)
        page.evaluate("""() => {
          window.pieces = [];
          const start = AudioBufferSourceNode.prototype.start;
          AudioBufferSourceNode.prototype.start = function begin(when) {
            pieces.push([when, this.buffer.duration / this.playbackRate.value,
                         this.context.currentTime]);
            return start.call(this, when);
          };
          bridge.hear(new AudioContext());
        }""")
        page.wait_for_function('pieces.length > 60')
    pieces = np.array(page.evaluate('pieces'))[30:]
    delay = page.evaluate('bridge.clock.delay')
    page.evaluate('bridge.close()')
    gaps = np.diff(pieces[:, 0]) - pieces[:-1, 1]
    assert np.mean(np.abs(gaps) < 1e-6) > 0.9
    assert (pieces[:, 0] >= pieces[:, 2]).all()
    assert delay <= 100


def test_the_example_moves_a_real_head(site, javascript):
    if not THREE.exists():
        lacking('three is not installed: npm install in avatar_bridge/web')
    page = javascript.page.context.browser.new_page()
    page.route('**/node_modules/three/**', lambda route: route.fulfill(
        path=THREE / route.request.url.partition('/node_modules/three/')[2]))
    with Feed(site, smiling) as feed:
        page.goto(f'{site}/clients/javascript/example.html?address={feed.address}'
                  f'&head={site}/{HEAD.relative_to(ROOT)}')
        page.wait_for_function('window.bridge?.frames.received > 60')
        page.wait_for_function("""() => {
          let found = false;
          head.traverse((node) => {
            const place = node.morphTargetDictionary?.mouthSmileLeft;
            found ||= place !== undefined && node.morphTargetInfluences[place] === 0.25;
          });
          return found;
        }""")
        assert page.evaluate('bridge.faces[0].missing') == []
    page.close()


TURNED = """async () => {
  const THREE = await import(`${location.origin}/node_modules/three/build/three.module.js`);
  const [root, neck, bone] = [0, 0, 0].map(() => new THREE.Object3D());
  root.add(neck);
  neck.add(bone);
  root.rotation.set(0, 2, 0);
  neck.rotation.set(0.4, 0.5, 0.6);             // bones have any axes
  bone.quaternion.copy(neck.quaternion).invert();
  const bridge = new client.AvatarBridge('ws://127.0.0.1:1/ws');
  const face = bridge.drive(root, { head: bone });
  bridge.close();
  const seen = [[0.3, 0, 0], [0, 0.3, 0], [0, 0, 0.3]].map((head) => {
    face.wear({ weights: new Float32Array(52), head, eyes: null });
    bone.updateWorldMatrix(true, false);
    const turn = root.quaternion.clone().invert()
      .multiply(bone.getWorldQuaternion(new THREE.Quaternion()));
    return [new THREE.Vector3(0, 0, 1), new THREE.Vector3(0, 1, 0)]
      .map((axis) => axis.applyQuaternion(turn).toArray());
  });
  return seen;
}"""


def test_a_bone_turns_to_the_left_and_up_whatever_its_axes_are(javascript):
    if not THREE.exists():
        lacking('three is not installed: npm install in avatar_bridge/web')
    page = javascript.page
    page.route('**/node_modules/three/**', lambda route: route.fulfill(
        path=THREE / route.request.url.partition('/node_modules/three/')[2]))
    left, up, lean = page.evaluate(TURNED)
    assert left[0] == pytest.approx([np.sin(0.3), 0, np.cos(0.3)])      # the subject's left: +x
    assert up[0] == pytest.approx([0, np.sin(0.3), np.cos(0.3)])
    assert lean[1] == pytest.approx([np.sin(0.3), np.cos(0.3), 0])      # to the left shoulder
