# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0
"""Blocks in, cues out: indices, segments, flags, times, the deadline policy."""

from fractions import Fraction
import gc

from energy_engine import JAW, EnergyEngine
import numpy as np
import pytest

from avatar_bridge.animator import Animator
from avatar_bridge.audio.intake import Intake
from avatar_bridge.clock import ManualClock
from avatar_bridge.frames import AudioBlock, FaceFrame, Flags, TimedAudio, TimedFrame
from avatar_bridge.governor import Governor, Steady
from avatar_bridge.schedule import FixedSchedule, LiveSchedule
from avatar_bridge.stream.idle import IdleLife

SECOND = 1_000_000_000
MILLISECOND = 1_000_000


def offline(engine):
    return Animator(engine, Intake(), schedule=FixedSchedule(engine.spec.fps, engine.latency),
                    policy=Steady(2), clock=ManualClock())


def frames(cues):
    return [cue.what for cue in cues if isinstance(cue.what, TimedFrame)]


def blocks(seconds, rate=16000, size=160, level=0.5):
    samples = np.full(int(seconds * rate), level, np.float32)
    return [AudioBlock(start, samples[start:start + size], rate)
            for start in range(0, len(samples), size)]


def speak(animator, heard):
    return frames([*(cue for block in heard for cue in animator.push(block, 0)),
                   *animator.end_speech()])


@pytest.mark.parametrize('rate', [8000, 16000, 44100, 48000])
@pytest.mark.parametrize('fps', [24, Fraction(30000, 1001), 60])
def test_there_are_as_many_frames_as_the_audio_reaches(rate, fps):
    given = speak(offline(EnergyEngine(fps)), blocks(1.5, rate, 441))
    assert [frame.frame.index for frame in given] == list(range(-(-3 * Fraction(fps) // 2)))


def test_indices_count_on_over_ends_of_speech_and_the_seam_is_marked():
    animator = offline(EnergyEngine())
    given = [*speak(animator, blocks(0.5)), *speak(animator, blocks(0.25))]
    assert [frame.frame.index for frame in given] == list(range(45))
    marked = [frame.frame.index for frame in given if frame.frame.flags & Flags.DISCONTINUITY]
    assert marked == [30]


def test_an_end_of_speech_without_speech_is_nothing():
    animator = offline(EnergyEngine())
    assert [*animator.end_speech(), *animator.end_speech()] == []
    assert speak(animator, blocks(0.1))[0].frame.flags == Flags.NONE


def test_a_jump_of_the_source_is_a_new_segment():
    animator = offline(EnergyEngine())
    jumped = [block._replace(start=block.start + 80000) for block in blocks(0.5)]
    given = speak(animator, [*blocks(0.5), *jumped])
    assert [frame.frame.index for frame in given] == list(range(60))
    assert given[30].frame.flags & Flags.DISCONTINUITY


def test_missing_samples_are_silence_and_count():
    heard = [block for block in blocks(1.0) if not 4800 <= block.start < 8000]
    given = speak(offline(EnergyEngine()), heard)
    jaw = [float(frame.frame.weights[JAW]) for frame in given]
    assert len(given) == 60
    assert max(jaw[19:29]) == 0.0
    assert min(jaw[31:]) > 0.4


def test_offline_times_depend_on_the_audio_alone():
    given = speak(offline(EnergyEngine()), blocks(1.0))
    assert given[0].capture_ns == 0
    assert given[30].capture_ns == SECOND // 2
    assert given[30].present_ns - given[30].capture_ns == 130 * MILLISECOND


def test_muted_audio_is_silence_and_says_so():
    animator = offline(EnergyEngine())
    loud = speak(animator, blocks(0.2))
    animator.muted = True
    still = speak(animator, blocks(0.2))
    assert loud[5].frame.weights[JAW] == pytest.approx(0.5)
    assert max(frame.frame.weights.max() for frame in still) == 0.0
    assert all(frame.frame.flags & Flags.MUTED for frame in still)


def test_sound_cues_are_all_of_the_sound_in_order():
    animator = offline(EnergyEngine())
    cues = [*(cue for block in blocks(0.5, 48000) for cue in animator.push(block, 0)),
            *animator.end_speech()]
    sound = [cue.what for cue in cues if isinstance(cue.what, TimedAudio)]
    assert {audio.sample_rate for audio in sound} == {16000}
    assert [audio.start for audio in sound] == [
        sum(len(before.samples) for before in sound[:number]) for number in range(len(sound))]
    assert sum(len(audio.samples) for audio in sound) == 8000


def test_a_cut_comes_to_rest_and_counts_on():
    animator = offline(EnergyEngine())
    given = frames(cue for block in blocks(1.0) for cue in animator.push(block, 0))[:20]
    animator.cut(20)
    fade = frames(animator.fade(Fraction(1, 10)))
    after = speak(animator, blocks(0.1))
    assert [frame.frame.index for frame in (*given, *fade, *after)] == list(range(32))
    jaw = [float(frame.frame.weights[JAW]) for frame in fade]
    assert jaw == sorted(jaw, reverse=True)
    assert jaw[-1] == 0.0
    assert all(frame.frame.flags & Flags.IDLE for frame in fade)
    assert fade[0].frame.flags & Flags.DISCONTINUITY


def live(clock, cost, fps=60):
    engine = EnergyEngine(fps, cost=lambda steps: clock.advance(cost(steps)))
    hop = int(SECOND * engine.spec.hop / engine.spec.fps)
    return Animator(engine, Intake(), schedule=LiveSchedule(engine.spec.fps, engine.latency),
                    policy=Governor(hop, 2), clock=clock)


def listen(animator, clock, heard):
    """Hear each block when it comes, or as soon as there is time; return (frame, when made)."""
    made = []
    for block in heard:
        arrival = (block.start + len(block.samples)) * SECOND // block.sample_rate
        clock.sleep_until(arrival)
        for frame in frames(animator.push(block._replace(
                capture_ns=block.start * SECOND // block.sample_rate), arrival)):
            made.append((frame, clock.now()))
    return made


def test_quick_enough_is_never_late_and_never_guessed():
    clock = ManualClock()
    animator = live(clock, lambda steps: 4 * MILLISECOND * steps)
    made = listen(animator, clock, blocks(10))
    assert all(when <= frame.present_ns for frame, when in made)
    assert animator.speculative == 0
    assert animator.rtf == pytest.approx(0.16, abs=0.01)


def test_far_too_slow_guesses_and_never_falls_behind_for_good():
    clock = ManualClock()
    animator = live(clock, lambda steps: 90 * MILLISECOND if steps else MILLISECOND)
    made = listen(animator, clock, blocks(20))
    assert [frame.frame.index for frame, _ in made] == list(range(len(made)))
    assert animator.speculative > 100
    assert max(when - frame.present_ns for frame, when in made) < 250 * MILLISECOND


def test_a_hiccup_is_caught_up_and_forgotten():
    clock = ManualClock()
    hops = iter(range(10**6))
    animator = live(clock, lambda steps: (800 if next(hops) == 40 else 5 * steps) * MILLISECOND)
    made = listen(animator, clock, blocks(20))
    late = [frame.frame.index for frame, when in made if when > frame.present_ns]
    assert late
    assert max(late) - min(late) < 90
    assert animator.speculative > 0


@pytest.mark.slow
def test_ten_minutes_keep_memory_flat_indices_gapless_and_frames_in_time():
    clock = ManualClock()
    animator = live(clock, lambda steps: 2 * MILLISECOND * steps, fps=24)
    expected, sizes = 0, []
    for minute in range(10):
        heard = [block._replace(start=block.start + minute * 960_000)
                 for block in blocks(60, size=1600)]
        for frame, when in listen(animator, clock, heard):
            assert frame.frame.index == expected
            assert when <= frame.present_ns
            assert abs(frame.capture_ns - expected * SECOND // 24) < MILLISECOND
            expected += 1
        sizes.append(len(gc.get_objects()))
    assert expected >= 600 * 24 - 6
    assert sizes[-1] - sizes[2] < 1000


def alive(schedule, clock):
    engine = EnergyEngine()
    engine.life.set_amount(1.0)
    animator = Animator(engine, Intake(), schedule=schedule(engine.spec.fps, engine.latency),
                        policy=Steady(2), clock=clock)
    animator.warm_up()
    return animator


def turned(given):
    return np.degrees([frame.frame.head for frame in given])


def test_life_goes_on_from_segment_to_segment_and_through_fades():
    animator = alive(FixedSchedule, ManualClock())
    given = [*speak(animator, blocks(1.0)), *frames(animator.fade(Fraction(3, 10))),
             *speak(animator, blocks(1.0)), *speak(animator, blocks(0.5))]
    assert [frame.frame.index for frame in given] == list(range(168))
    assert np.abs(np.diff(turned(given), 2, axis=0)).max() < 0.1
    whole = IdleLife(Fraction(60), amount=1.0).push(
        FaceFrame(index, frame.frame.weights * 0) for index, frame in enumerate(given))
    yaw = [frame.head[0] for frame in whole]         # what the jaw does not move
    assert np.allclose([frame.frame.head[0] for frame in given], yaw, atol=1e-6)


def test_a_cut_takes_life_back_to_the_last_frame_that_was_shown():
    animator = alive(FixedSchedule, ManualClock())
    given = frames(cue for block in blocks(1.0) for cue in animator.push(block, 0))
    animator.cut(20)
    after = frames(animator.fade(Fraction(1, 10)))
    assert [frame.frame.index for frame in after] == list(range(20, 26))
    assert np.allclose(turned(after)[:, 0], turned(given)[20:26, 0], atol=1e-6)
    jaw = [float(frame.frame.weights[JAW]) for frame in after]
    assert jaw[0] < 0.5
    assert jaw[-1] == 0.0


def test_without_audio_a_living_face_is_as_far_as_silence_would_be():
    clock = ManualClock()
    animator = alive(LiveSchedule, clock)
    given, shown = [], []
    for _ in range(80):
        clock.advance(25 * MILLISECOND)
        cues = list(animator.linger())
        shown += [cue.due for cue in cues]
        given += frames(cues)
    assert [frame.frame.index for frame in given] == list(range(len(given)))
    assert 115 <= len(given) <= 126                     # 2 s and the latency
    assert np.ptp(np.diff(shown)) < 2                   # ns: evenly
    assert shown[-1] <= clock.now() + 100 * MILLISECOND
    assert all(frame.frame.flags & Flags.IDLE for frame in given)
    marked = [frame.frame.index for frame in given if frame.frame.flags & Flags.DISCONTINUITY]
    assert marked == []
    assert np.abs(np.diff(turned(given), 2, axis=0)).max() < 0.1


def test_audio_that_comes_to_a_lingering_face_is_not_late():
    clock = ManualClock()
    animator = alive(LiveSchedule, clock)
    for _ in range(40):
        clock.advance(25 * MILLISECOND)
        list(animator.linger())
    last = animator._base
    dues = []
    for block in blocks(0.5):
        clock.advance(10 * MILLISECOND)
        dues += [(cue.due, cue.what.frame.index) for cue in animator.push(block, clock.now())
                 if isinstance(cue.what, TimedFrame)]
    assert dues[0][1] == last
    began = clock.now() - 500 * MILLISECOND
    assert dues[0][0] - began <= 100 * MILLISECOND      # the latency, as without life
