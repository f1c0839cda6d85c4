# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Animation files by the command: from speech, from recordings, beside other sinks."""

import re
import shlex

from listener import cut
import numpy as np
import pytest
from small_head import PICTURE, write_head
from takes import ROOT, moved, recorded

from avatar_bridge.cli import main, parser
from avatar_bridge.compose import SINKS
from avatar_bridge.rig import INDEX
from avatar_bridge.sinks.recorder import NpzRecorder


@pytest.mark.parametrize('suffix', ['glb', 'usda', 'anim', 'track.json', 'a2f.csv'])
def test_animate_writes_it(suffix, tmp_path):
    cut(tmp_path / 'speech.wav', 1.5)
    out = tmp_path / f'speech.{suffix}'
    assert main(['animate', str(tmp_path / 'speech.wav'), '-o', str(out), '--quiet']) == 0
    assert out.stat().st_size > 1000
    if suffix == 'glb':
        times, meshes, _ = moved(out)
        assert len(times) == 90
        assert meshes['Face']['jawOpen'].max() > 0


def test_a_run_animates_the_users_head_beside_other_sinks(tmp_path):
    cut(tmp_path / 'speech.wav', 0.5)
    head = write_head(tmp_path / 'egg.glb', PICTURE)
    assert main(['run', '--source', str(tmp_path / 'speech.wav'), '--quiet', '--sink',
                 f'glb={tmp_path}/egg_take.glb?head={head}', '--sink',
                 f'npz={tmp_path}/take.npz']) == 0
    weights = np.load(tmp_path / 'take.npz')['weights']
    found = moved(tmp_path / 'egg_take.glb')[1]['Face']['jawOpen']
    np.testing.assert_array_equal(found, weights[:, INDEX['jawOpen']])


def test_a_recording_becomes_an_animation(tmp_path):
    expected, _ = recorded(NpzRecorder(tmp_path / 'take.npz'))
    assert main(['play', str(tmp_path / 'take.npz'), '-o', str(tmp_path / 'take.glb')]) == 0
    found = moved(tmp_path / 'take.glb')[1]['Face']['mouthSmileLeft']
    np.testing.assert_array_equal(found, expected[:, INDEX['mouthSmileLeft']])


@pytest.mark.parametrize('words', [['glb'], ['glb=a.glb?head=none.glb'], ['usda=nowhere/a.usda'],
                                   ['anim=a.anim?hed=x']])
def test_what_the_command_cannot_write_is_one_line(words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cut(tmp_path / 'speech.wav', 0.1)
    assert main(['run', '--source', 'speech.wav', '--sink', *words]) in (1, 2)
    assert capsys.readouterr().err.count('\n') == 1


PAGES = ''.join((ROOT / 'docs' / f'{name}.md').read_text() for name in ('files', 'blender'))


@pytest.mark.parametrize('line', re.findall(r'avatar-bridge (?:run|animate|play) -?[^`\n]*',
                                            PAGES))
def test_the_commands_of_the_pages_are_understood(line):
    arguments = parser().parse_args(shlex.split(line, comments=True)[1:])
    for sink in getattr(arguments, 'option_sink', ()):
        assert sink.partition('=')[0] in SINKS
