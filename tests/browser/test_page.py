# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The page of `avatar-bridge view`: live frames, dropped files, controls, lost streams."""

import asyncio
import signal
import threading

import aiohttp
from heads import write_box, write_vrm
import numpy as np
import pytest
from visit import Visit, chromium

from avatar_bridge import wire
from avatar_bridge.rig import NAMES


class Listener:
    """A second client, which remembers the frames by their index."""

    def __init__(self, address):
        """Listen at the viewer's `address` once entered."""
        self._address = f'{address}ws'
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._listen()), daemon=True)
        self.frames = {}

    def __enter__(self):
        """Listen."""
        self._thread.start()
        return self

    def __exit__(self, *_):
        """Stop."""
        self._stop.set()
        self._thread.join()

    async def _listen(self):
        async with aiohttp.ClientSession() as client, client.ws_connect(self._address) as socket:
            while not self._stop.is_set():
                try:
                    message = await socket.receive(timeout=0.2)
                except TimeoutError:
                    continue
                if message.type is aiohttp.WSMsgType.BINARY and message.data[0] == 0:
                    face = wire.decode_face(message.data[1:])
                    self.frames[face.index] = face


def test_the_live_face_is_the_one_that_was_sent(visit, viewer):
    with Listener(viewer.address) as other:
        page = visit(viewer.address)
        page.until("state.state === 'live' && state.pictures > 3")
        seen = [page.state() for _ in range(15) if page.page.wait_for_timeout(60) is None]
        page.page.wait_for_timeout(300)
    compared = [state for state in seen if state['index'] in other.frames]
    assert len(compared) >= 10                      # slow clients lose some, seldom
    for state in compared:
        weights = other.frames[state['index']].weights
        for name, weight in zip(NAMES, weights, strict=True):
            assert state['influences'][name] == pytest.approx(float(weight), abs=1e-6)
    assert any(state['influences']['jawOpen'] > 0.02 for state in seen)
    assert page.state()['missing'] == []


def test_only_this_machine_is_asked(visit, viewer):
    page = visit(viewer.address)
    page.until("state.state === 'live'")
    assert len(page.requests) >= 5
    assert page.foreign == []
    assert any(url.startswith('ws://127.0.0.1') for url in page.requests)
    policy = page.page.request.get(viewer.address).headers['content-security-policy']
    assert "default-src 'self'" in policy
    assert 'unsafe' not in policy


def test_a_dropped_sound_animates_and_ends_at_rest(visit, viewer, words):
    page = visit(viewer.address)
    page.until("state.state === 'live'")
    page.drop(words)
    page.until("state.mode === 'file' && state.influences.jawOpen > 0.03", 30)
    assert len(page.uploads) == 1
    page.until("state.state === 'played' && !Object.values(state.influences).some(Boolean)", 30)
    page.page.get_by_role('button', name='Play again').click()
    page.until("state.state === 'playing' && state.influences.jawOpen > 0.03")
    page.page.get_by_role('button', name='Back to live').click()
    page.until("state.state === 'live' && state.mode === 'live'")


def test_a_file_that_is_no_sound_says_so(visit, viewer, tmp_path):
    path = tmp_path / 'noise.wav'
    path.write_bytes(b'this is no sound' * 10)
    page = visit(viewer.address, allowed=('422',))
    page.until("state.state === 'live'")
    page.drop(path)
    page.page.get_by_role('alert').filter(has_text='noise.wav').wait_for()
    assert page.state()['mode'] == 'live'


def apple_to_maya(name):
    """Return mouthSmile_L for mouthSmileLeft."""
    for side in ('Left', 'Right'):
        if name.endswith(side) and name not in ('jawLeft', 'jawRight', 'mouthLeft', 'mouthRight'):
            return f'{name.removesuffix(side)}_{side[0]}'
    return name


def in_snake_case(name):
    """Return mouth_smile_left for mouthSmileLeft."""
    return ''.join(f'_{letter.lower()}' if letter.isupper() else letter for letter in name)


SPELLINGS = {
    '_L': apple_to_maya,
    'prefix': lambda name: f'blendShape1.{name}',
    'Pascal': lambda name: name[0].upper() + name[1:],
    'snake': in_snake_case,
}


def test_ones_own_head_is_matched_by_name(visit, viewer, tmp_path):
    page = visit(viewer.address)
    page.until("state.state === 'live' && state.found === 52")
    for place, (spelling, spell) in enumerate(SPELLINGS.items()):
        lacking = NAMES[-1 - place]
        names = [spell(name) for name in NAMES if name != lacking]
        page.drop(write_box(tmp_path / f'{spelling}.glb', [*names, 'somethingElse']))
        state = page.until(f"state.missing[0] === '{lacking}'")
        assert (state['found'], state['missing']) == (51, [lacking])
        assert lacking in page.page.locator('#head-report').inner_text()
        state = page.state()
        for name, influence in state['influences'].items():
            assert influence == pytest.approx(state['weights'][name], abs=1e-6)
    assert page.uploads == []
    page.page.get_by_role('button', name='Our head').click()
    page.until("state.found === 52")


def test_a_vrm_without_the_52_speaks_with_its_vowels(visit, viewer, tmp_path):
    page = visit(viewer.address)
    page.until("state.state === 'live' && state.found === 52")
    page.drop(write_vrm(tmp_path / 'box.vrm', ['aa', 'ih', 'ou', 'ee', 'oh', 'blink']))
    state = page.until("state.influences && state.influences.aa > 0.02")
    assert sorted(state['influences']) == ['aa', 'blink', 'ee', 'ih', 'oh', 'ou']
    assert sum(state['influences'][name] for name in ('aa', 'ih', 'ou', 'ee', 'oh')) <= 1 + 1e-6
    assert 'moved by its own aa, ih' in page.page.locator('#head-report').inner_text()


def test_a_broken_head_leaves_the_old_one(visit, viewer, tmp_path):
    path = tmp_path / 'broken.glb'
    path.write_bytes(b'glTF' + bytes(40))
    page = visit(viewer.address)
    page.until("state.state === 'live' && state.found === 52")
    page.drop(path)
    page.page.get_by_role('alert').filter(has_text='broken.glb').wait_for()
    assert page.state()['found'] == 52


def test_keys_reach_every_control(visit, viewer):
    page = visit(viewer.address)
    page.until("state.state === 'live' && state.status")
    page.page.keyboard.press('m')
    page.until("state.status.muted")
    page.page.keyboard.press('m')
    page.until("!state.status.muted")
    page.page.keyboard.press('/')
    page.page.keyboard.type('smile')
    assert page.page.locator('.shape:visible').count() == 2
    slider = page.page.get_by_role('slider', name='Gain of mouthSmileLeft')
    slider.focus()
    page.page.keyboard.press('End')
    page.until("state.status.gains.mouthSmileLeft === 2")
    page.page.keyboard.press('Home')
    page.until("state.status.gains.mouthSmileLeft === 0")
    unnamed = page.page.evaluate("""() => [...document.querySelectorAll(
      'button, input:not([type=file]), select, canvas')].filter((one) => !one.hidden
        && !one.getAttribute('aria-label') && !one.textContent.trim()
        && !one.labels?.[0]?.textContent.trim()).map((one) => one.id || one.outerHTML)""")
    assert unnamed == []


def test_a_new_seed_is_a_new_stream(visit, viewers, long_speech):
    page = visit(viewers(long_speech).address)
    first = page.until("state.state === 'live' && state.status")
    page.page.get_by_role('button', name='New seed').click()
    state = page.until(f"state.state === 'live' && state.stream !== '{first['stream']}'"
                       f" && state.status.seed !== {first['status']['seed']}")
    page.until(f"state.index !== {state['index']}")


def test_a_lost_stream_comes_back(visit, viewers, long_speech):
    one = viewers(long_speech)
    page = visit(one.address, allowed=('WebSocket', 'ERR_CONNECTION'))
    first = page.until("state.state === 'live' && state.pictures > 3")
    one.end(signal.SIGKILL)
    state = page.until("state.state === 'lost' && !Object.values(state.weights).some(Boolean)")
    assert page.page.get_by_role('status').inner_text() == 'Connection lost'
    viewers(long_speech, port=one.port)
    state = page.until("state.state === 'live'", 30)
    assert state['stream'] != first['stream']
    page.until(f"state.pictures > {state['pictures'] + 5}")


def test_before_a_click_and_without_webgl(playwright, viewer):
    with chromium(playwright, '--autoplay-policy=document-user-activation-required',
                  '--disable-3d-apis') as browser:
        page = Visit(browser, viewer.address, allowed=('AudioContext was not allowed',))
        page.until("state.sound === 'blocked' && !document.querySelector('#notice button').hidden")
        left, top, text = page.ask('''(() => {
          const button = document.querySelector('#notice button');
          const { left, top } = button.getBoundingClientRect();
          return [left, top, button.textContent]; })()''')
        assert text == 'Turn the sound on'
        page.page.mouse.click(left + 5, top + 5)
        page.until("state.sound === 'running' && state.state === 'live'")
        page.page.get_by_role('heading', name='This browser cannot draw in 3D').wait_for()
        assert page.complaints == []
        assert page.foreign == []


def test_a_dropped_recording_plays(visit, viewer, tmp_path):
    jaw = np.linspace(0, 1, 90, dtype=np.float32)
    weights = np.outer(jaw, np.eye(52, dtype=np.float32)[NAMES.index('jawOpen')])
    np.savez(tmp_path / 'take.npz', weights=weights, names=np.array(NAMES), fps=30.0)
    page = visit(viewer.address)
    page.until("state.state === 'live' && state.found === 52")
    page.drop(tmp_path / 'take.npz')
    state = page.until("state.mode === 'file' && state.index < 90"
                       " && state.influences.jawOpen > 0.3", 30)
    assert state['influences']['jawOpen'] == pytest.approx(state['index'] / 89, abs=1e-6)
    page.until("state.state === 'played' && !Object.values(state.influences).some(Boolean)")
