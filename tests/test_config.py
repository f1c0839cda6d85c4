# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0
"""Options: one table, checked, from a mapping or a file."""

from fractions import Fraction

import pytest

from avatar_bridge.config import EngineConfig, SessionConfig, options
from avatar_bridge.errors import UsageError


def test_every_option_says_what_it_is_and_accepts_its_default():
    for option in options():
        assert len(option.help) > 8
        assert option.read(option.default) == option.default


def test_defaults_are_those_of_the_contract():
    config = SessionConfig()
    assert (config.source, config.bundle, config.pace, config.avatar) == (
        'mic', 'live', 'real', 'default')
    assert config.engine == EngineConfig(profile='live', fps=Fraction(60), steps=0, seed=0)


@pytest.mark.parametrize(('key', 'value', 'field', 'expected'), [
    ('fps', '30000/1001', 'fps', Fraction(30000, 1001)),
    ('fps', 29.97, 'fps', Fraction(2997, 100)),
    ('steps', '8', 'steps', 8),
    ('gain', ['jawOpen=1.5', 'all=0.5'], 'gains', {'jawOpen': 1.5, 'all': 0.5}),
    ('gain', {'jawOpen': 2}, 'gains', {'jawOpen': 2.0}),
])
def test_engine_options_are_read_from_text_and_from_values(key, value, field, expected):
    assert getattr(SessionConfig.from_mapping({key: value}).engine, field) == expected


@pytest.mark.parametrize(('given', 'read'), [
    ('on', 'on'), (True, 'on'), (False, 'off'), ('auto', 'auto')])
def test_idle_may_be_on_off_or_what_yaml_makes_of_these_words(given, read):
    assert SessionConfig.from_mapping({'idle': given}).engine.idle == read


@pytest.mark.parametrize('key', ['input-rate', 'input_rate'])
def test_dashes_and_underscores_are_the_same(key):
    assert SessionConfig.from_mapping({key: 48000}).input_rate == 48000


@pytest.mark.parametrize(('values', 'message'), [
    ({'step': 2}, 'did you mean steps'),
    ({'profile': 'lives'}, 'did you mean live'),
    ({'steps': 51}, 'from 0 to 50'),
    ({'steps': 2.5}, 'a whole number'),
    ({'steps': True}, 'a whole number'),
    ({'fps': 61}, 'from 24 to 60'),
    ({'idle': 'onn'}, 'auto, on or off'),
    ({'fps': '1/0'}, 'ratio'),
    ({'guidance': float('nan')}, 'from 0 to 4'),
    ({'gain': ['jawOpne=1']}, 'did you mean jawOpen'),
    ({'gain': {'jawOpen': 5}}, 'from 0 to 4'),
    ({'gain': ['jawOpen']}, 'NAME=X'),
    ({'avatar': 'a/b'}, 'letters, digits'),
    ({'avatar': ''}, 'letters, digits'),
    ({'channel': -1}, 'mix'),
    ({'quiet': 'perhaps'}, 'true or false'),
    ({'input_rate': 1000}, 'from 8000 to 192000 Hz'),
])
def test_what_is_not_accepted_is_refused_with_the_way_out(values, message):
    with pytest.raises(UsageError, match=message):
        SessionConfig.from_mapping(values)


def test_python_users_get_the_same_checks():
    with pytest.raises(UsageError, match='from 0 to 50'):
        EngineConfig(steps=51)


def test_toml_keys_are_option_names(tmp_path):
    path = tmp_path / 'run.toml'
    path.write_text('steps = 4\nsink = ["zmq", "csv=a.csv"]\n[gain]\njawOpen = 1.25\n')
    config = SessionConfig.from_toml(path)
    assert (config.engine.steps, config.sinks) == (4, ('zmq', 'csv=a.csv'))
    assert config.engine.gains == {'jawOpen': 1.25}


@pytest.mark.parametrize(('text', 'message'), [
    ('stepps = 4', 'did you mean steps'), ('steps =', 'no TOML'), ('steps = 99', 'from 0 to 50'),
])
def test_a_wrong_toml_file_is_refused(tmp_path, text, message):
    path = tmp_path / 'run.toml'
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        SessionConfig.from_toml(path)


def test_a_missing_toml_file_is_named(tmp_path):
    with pytest.raises(UsageError, match=r'cannot read .*none\.toml'):
        SessionConfig.from_toml(tmp_path / 'none.toml')


def test_a_config_survives_the_way_through_a_mapping():
    config = SessionConfig.from_mapping({'fps': 30, 'gain': 'all=2', 'sink': 'zmq', 'seed': 7})
    assert SessionConfig.from_mapping(config.to_mapping()) == config


def test_single_texts_make_lists():
    assert SessionConfig.from_mapping({'sink': 'zmq'}).sinks == ('zmq',)
