# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""docs/avatars.md is true: its commands are understood, its sinks and options exist."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
import re
import shlex

import pytest

from avatar_bridge.cli import parser
from avatar_bridge.config import SessionConfig
from avatar_bridge.mappings.layouts import REGIONS
from avatar_bridge.sinks import livelink, vmc

PAGE = (Path(__file__).parents[1] / 'docs' / 'avatars.md').read_text(encoding='utf-8')
COMMANDS = re.findall(r'avatar-bridge run[^`\n]*', PAGE)
OURS = ('livelink', 'vmc', 'vrchat')
SINKS = sorted({sink for sink in re.findall(r"--sink '?([^\s'`]+)", PAGE)
                if re.match(rf'({"|".join(OURS)})\b', sink) and '...' not in sink})


@pytest.mark.parametrize('command', COMMANDS)
def test_the_commands_of_the_page_are_understood(command):
    parser().parse_args(shlex.split(command)[1:])


@pytest.mark.parametrize('sink', SINKS)
def test_the_sinks_of_the_page_exist_with_their_options(sink):
    name, place = re.fullmatch(r'(\w+)=?(.*)', sink).groups()
    assert import_module(f'avatar_bridge.sinks.{name}').from_argument(place)


def test_the_file_of_the_page_is_a_configuration(tmp_path):
    path = tmp_path / 'face.toml'
    path.write_text(re.search(r'```\n(sink = .*?)```', PAGE, re.DOTALL)[1])
    assert SessionConfig.from_toml(path).engine.idle == 'on'


def test_the_page_names_every_profile_and_every_choice():
    choices = [*vmc.PROFILES, *vmc.TURNS, *livelink.PROFILES[1:], *REGIONS, 'role=assistant',
               'emotions=on', 'prefix=', 'avatar=', 'eyes=native']
    assert [choice for choice in choices if f'{choice}' not in PAGE] == []
