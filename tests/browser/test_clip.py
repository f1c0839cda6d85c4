# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""An animated .glb is played, and seen to move, by three.js as anybody loads it."""

import numpy as np
import pytest
from takes import COUNT, ROOT, lacking, recorded

from avatar_bridge.gltf import read_head
from avatar_bridge.mesh import Mesh
from avatar_bridge.rig import INDEX
from avatar_bridge.sinks.animation import SMALL_HEAD, glb

SITE = 'http://127.0.0.1:9/'            # nobody's: every request is answered here
THREE = ROOT / 'avatar_bridge' / 'web' / 'node_modules' / 'three'
PAGE = '''<!doctype html><canvas width="200" height="200"></canvas>
<script type="importmap">{"imports": {"three": "/three/build/three.module.js",
 "three/addons/": "/three/examples/jsm/"}}</script>
<script type="module">
import * as THREE from 'three';
import { GLTFLoader } from 'three/addons/loaders/GLTFLoader.js';
const { scene: root, animations } = await new GLTFLoader().loadAsync('/take.glb');
const renderer = new THREE.WebGLRenderer({ canvas: document.querySelector('canvas'),
                                           preserveDrawingBuffer: true });
const scene = new THREE.Scene().add(root, new THREE.HemisphereLight(0xffffff, 0x404040, 3));
const camera = new THREE.PerspectiveCamera(30, 1, 0.01, 10);
camera.position.set(0, 0.02, 0.6);
const mixer = new THREE.AnimationMixer(root);
mixer.clipAction(animations[0]).setLoop(THREE.LoopOnce).play();
const [head, face] = ['Head', 'Face'].map((name) => root.getObjectByName(name));
window.clip = { name: animations[0].name, duration: animations[0].duration };
window.at = (seconds, vertices) => {
  mixer.setTime(seconds);
  renderer.render(scene, camera);
  const weights = {};
  root.traverse((node) => {
    for (const [name, place] of Object.entries(node.morphTargetDictionary ?? {})) {
      (weights[node.name] ??= {})[name] = node.morphTargetInfluences[place];
    }
  });
  root.updateWorldMatrix(true, true);
  const places = vertices.map((vertex) => head.worldToLocal(face.localToWorld(
    face.getVertexPosition(vertex, new THREE.Vector3()))).toArray());
  return { weights, places, turn: head.quaternion.toArray(),
           picture: document.querySelector('canvas').toDataURL() };
};
window.ready = true;
</script>'''


@pytest.fixture
def page(browser, tmp_path):
    """Return a page that has loaded a take on our small head, and the take."""
    if not THREE.exists():
        lacking('three is not installed: npm install in avatar_bridge/web')
    weights, turns = recorded(glb(f'{tmp_path}/take.glb?head={SMALL_HEAD}'), turned=True)

    def answer(route):
        path = route.request.url.removeprefix(SITE)
        if path.startswith('three/'):
            route.fulfill(path=THREE / path.removeprefix('three/'))
        elif path == 'take.glb':
            route.fulfill(path=tmp_path / path)
        else:
            route.fulfill(body=PAGE, content_type='text/html')

    page = browser.new_page()
    complaints = []
    page.on('pageerror', lambda error: complaints.append(str(error)))
    page.route(f'{SITE}**', answer)
    page.goto(SITE)
    page.wait_for_function('window.ready', timeout=30_000)
    yield page, weights, turns
    page.close()
    assert complaints == []


def test_three_plays_the_take_and_the_face_is_seen_to_move(page):
    page, weights, turns = page
    clip = page.evaluate('clip')
    assert clip['name'] == 'take'
    assert clip['duration'] == pytest.approx((COUNT - 1) / 60)
    mesh = Mesh(read_head(SMALL_HEAD))
    vertices, pictures = [0, 700, 2100], set()
    pivot = read_head(SMALL_HEAD).pivot
    for frame in (0, 25, 61):
        seen = page.evaluate('([time, vertices]) => at(time, vertices)', [frame / 60, vertices])
        pictures.add(seen['picture'])
        for shapes in seen['weights'].values():
            for name, value in shapes.items():
                assert value == pytest.approx(weights[frame, INDEX[name]], abs=1e-4)
        wanted = mesh.pose(weights[frame])[0][vertices] - pivot
        np.testing.assert_allclose(seen['places'], wanted, atol=2e-5)
        assert 2 * np.arccos(seen['turn'][3]) == pytest.approx(
            np.linalg.norm(turns[frame]), abs=0.05)
    assert len(pictures) == 3
