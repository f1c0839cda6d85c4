# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0
"""Phones beside a recording are read as they are written, or the file is named."""

import contextlib
import json

from hypothesis import given
from hypothesis import strategies as st
import pytest

from avatar_bridge.errors import AudioError
from avatar_bridge.phones import Phone, from_text_grid, phones_beside

LONG = '''File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 0.9
tiers? <exists>
size = 3
item []:
    item [1]:
        class = "TextTier"
        name = "marks"
        xmin = 0
        xmax = 0.9
        points: size = 1
        points [1]:
            number = 0.4
            mark = "x"
    item [2]:
        class = "IntervalTier"
        name = "phones"
        xmin = 0
        xmax = 0.9
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 0.25
            text = "sil"
        intervals [2]:
            xmin = 0.25
            xmax = 0.5
            text = "M"
        intervals [3]:
            xmin = 0.5
            xmax = 0.9
            text = "AA1"
    item [3]:
        class = "IntervalTier"
        name = "words"
        xmin = 0
        xmax = 0.9
        intervals: size = 1
        intervals [1]:
            xmin = 0
            xmax = 0.9
            text = "say ""ma"" 2 times"
'''
SHORT = '''"ooTextFile"
"TextGrid"
0
0.9
<exists>
1
"IntervalTier"
"Phones"
0
0.9
3
0
0.25
""
0.25
0.5
"M"
0.5
0.9
"AA1"
'''
SPOKEN = (Phone('M', 0.25, 0.5), Phone('AA', 0.5, 0.9))


@pytest.fixture
def audio(tmp_path):
    (tmp_path / 'a.wav').write_bytes(b'RIFF')
    return tmp_path / 'a.wav'


@pytest.mark.parametrize('text', [LONG, SHORT])
@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16'])
def test_text_grids_are_read(text, encoding, audio):
    audio.with_suffix('.TextGrid').write_text(text, encoding=encoding)
    assert phones_beside(audio) == SPOKEN


def test_the_speech_that_comes_with_the_package_has_phones(speech):
    phones = phones_beside(speech)
    assert phones[0] == Phone('m', 0.526, 0.576)
    assert sum(phone.is_closure for phone in phones) > 30
    assert sum(phone.is_vowel for phone in phones) > 30
    assert not any(phone.is_closure and phone.is_vowel for phone in phones)


@pytest.mark.parametrize(('content', 'found'), [
    ({}, ()), ([1, 2], ()), ({'phones': [['m', 0, 0.1], ['ˈɑ', 0.1, 0.2], ['', 0.2, 1]]},
                             (Phone('m', 0, 0.1), Phone('ɑ', 0.1, 0.2)))])
def test_json_has_phones_or_is_something_else(content, found, audio):
    audio.with_suffix('.json').write_text(json.dumps(content))
    assert phones_beside(audio) == found


@pytest.mark.parametrize(('suffix', 'text'), [
    ('.json', '{'), ('.json', '{"phones": [["m", 0]]}'), ('.json', '{"phones": [["m", 1, 0]]}'),
    ('.json', '{"phones": [["m", 0, NaN]]}'), ('.json', '{"phones": 3}'), ('.TextGrid', ''),
    ('.TextGrid', LONG[:300]), ('.TextGrid', SHORT.replace('0.25', 'later'))])
def test_a_file_that_cannot_be_read_is_named(suffix, text, audio):
    audio.with_suffix(suffix).write_text(text)
    with pytest.raises(AudioError, match=rf'a\{suffix}: expected the phones of a.wav'):
        phones_beside(audio)


def test_without_a_file_nothing_is_known(audio, tmp_path):
    assert phones_beside(audio) == ()
    assert phones_beside(tmp_path / 'mic') == ()


@given(st.text(alphabet='"ItervalTmiphones0.1 \n[]', max_size=200))
def test_garbage_in_a_text_grid_is_refused_or_read(text):
    with contextlib.suppress(LookupError, ValueError):
        assert all(phone.start <= phone.end for phone in from_text_grid(text))
