# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""docs/vtuber.md is true: its commands are understood, its sinks and options exist."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
import re
import shlex

import pytest

from avatar_bridge.cli import parser
from avatar_bridge.sinks import ifacialmocap, vts

PAGE = (Path(__file__).parents[1] / 'docs' / 'vtuber.md').read_text(encoding='utf-8')
COMMANDS = re.findall(r'avatar-bridge run[^`\n]*', PAGE)
SINKS = sorted(set(re.findall(r"--sink '?((?:vts|ifacialmocap)[^\s'`]*)", PAGE)))


@pytest.mark.parametrize('command', COMMANDS)
def test_the_commands_of_the_page_are_understood(command):
    parser().parse_args(shlex.split(command)[1:])


@pytest.mark.parametrize('sink', SINKS)
def test_the_sinks_of_the_page_exist_with_their_options(sink):
    name, _, place = sink.partition('=')
    assert import_module(f'avatar_bridge.sinks.{name}').from_argument(place)


def test_the_page_names_every_mode_profile_and_port():
    words = ['mode=phone', '`live2d`', '`arkit`', 'profile=v2', 'channels=mouth',
             str(vts.PLACES['plugin'].port), str(vts.PLACES['phone'].port),
             str(ifacialmocap.PLACES['push'].port), ifacialmocap.PLACES['phone'].host]
    assert [word for word in words if word not in PAGE] == []
