# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
`SessionConfig` -> `Session`: the one table of adapter names.

Adapters are imported when they are asked for, so a missing optional package only matters to those
who want what it brings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import contextlib
from dataclasses import replace
from functools import partial
import hashlib
from importlib import import_module
from pathlib import Path
import re
import sys
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

import numpy as np

from avatar_bridge import __version__
from avatar_bridge.audio.intake import Channel, Intake
from avatar_bridge.bundle import Bundle, load_bundle
from avatar_bridge.clock import MonotonicClock
from avatar_bridge.config import SessionConfig, nearest
from avatar_bridge.desk import Choices, Desk
from avatar_bridge.errors import AudioError, AvatarBridgeError, MissingPackageError, UsageError
from avatar_bridge.frames import Samples, angles
from avatar_bridge.phones import phones_beside
from avatar_bridge.ports import AudioSource, Clock, FrameSink
from avatar_bridge.session import Pace, Session, SessionSettings
from avatar_bridge.stream.engine import Engine
from avatar_bridge.wire import Take


class Adapter(NamedTuple):
    """Where an adapter lives; `needs` is what must follow its name and a =, or nothing."""

    home: str                       # module:attribute
    needs: str = ''
    suffix: str = ''                # of the files that it writes


SINKS: Final[dict[str, Adapter]] = {
    'zmq': Adapter('avatar_bridge.sinks.zeromq:ZeroMqSink.from_argument'),
    'csv': Adapter('avatar_bridge.sinks.livelink_csv:LiveLinkCsv', 'FILE', '.csv'),
    'npz': Adapter('avatar_bridge.sinks.recorder:NpzRecorder', 'FILE', '.npz'),
    'jsonl': Adapter('avatar_bridge.sinks.recorder:JsonLinesRecorder', 'FILE', '.jsonl'),
    'mcap': Adapter('avatar_bridge.sinks.mcap:McapRecorder', 'FILE', '.mcap'),
    'glb': Adapter('avatar_bridge.sinks.animation:glb', suffix='.glb'),
    'usda': Adapter('avatar_bridge.sinks.animation:usda', suffix='.usda'),
    'anim': Adapter('avatar_bridge.sinks.animation:anim', suffix='.anim'),
    'track': Adapter('avatar_bridge.sinks.animation:openfacefx', suffix='.track.json'),
    'a2f': Adapter('avatar_bridge.sinks.animation:a2f', suffix='.a2f.csv'),
    'web': Adapter('avatar_bridge.sinks.web:WebSink.from_argument'),
    'livelink': Adapter('avatar_bridge.sinks.livelink:from_argument'),
    'ifacialmocap': Adapter('avatar_bridge.sinks.ifacialmocap:from_argument'),
    'vts': Adapter('avatar_bridge.sinks.vts:from_argument'),
    'vmc': Adapter('avatar_bridge.sinks.vmc:from_argument'),
    'vrchat': Adapter('avatar_bridge.sinks.vrchat:from_argument'),
    'mp4': Adapter('avatar_bridge.sinks.film:FilmRecorder', 'FILE', '.mp4'),
    'png': Adapter('avatar_bridge.sinks.contact_sheet:ContactSheet', 'FILE', '.png'),
}
SOURCES: Final[dict[str, Adapter]] = {
    'mic': Adapter('avatar_bridge.sources.microphone:Microphone'),
    'file': Adapter('avatar_bridge.sources.file:FileSource', 'FILE'),
    '-': Adapter('avatar_bridge.sources.raw:RawSource'),
    'bag': Adapter('avatar_bridge.sources.bag:BagSource', 'BAG'),
}
DEFAULT_SINKS: Final = ('zmq',)
LONGEST: Final = 600            # seconds of an upload


def compose(
    config: SessionConfig, *, source: AudioSource | None = None,
    sinks: Mapping[str, FrameSink] | None = None, engine: Engine | None = None,
    clock: Clock | None = None,
) -> Session:
    """
    Return a session that is ready to start.

    What is given (by the ROS node, say) is used; the rest is made from `config`. A name in
    `config.sinks` that `sinks` has too means that one. Raises an `AvatarBridgeError`.
    """
    clock = clock or MonotonicClock()
    given = dict(sinks or {})
    names = config.sinks or (() if given else DEFAULT_SINKS)
    outlets = [*given.values(), *(open_sink(name) for name in names if name not in given)]
    bundle = load_bundle(config.bundle)
    engine = engine or Engine(bundle, config.engine)
    settings = SessionSettings(
        pace=Pace(config.pace), avatar=config.avatar, bundle=bundle.name,
        channel=chosen_channel(config), stream=stream_id(config, bundle))
    engine.set_idle(idle_amount(config, source))
    session = Session(source or open_source(config, clock), engine, outlets, clock=clock,
                      settings=settings)
    for outlet in outlets:
        if attach := getattr(outlet, 'attach', None):       # somebody there can steer
            attach(desk(session, config))
        if config.pace == 'real' and (follow := getattr(outlet, 'follow', None)):
            follow(clock)                                   # it may leave out what takes long
        if recite := getattr(outlet, 'recite', None):       # it shows what is said
            recite(phones_beside(Path(config.source)))
    return session


def desk(session: Session, config: SessionConfig, *,
         change: Callable[[SessionConfig], None] | None = None, first: str = '') -> Desk:
    """Return the controls of a session; `change` begins another one, also from source `first`."""
    sources = {source: Path(source).name or source for source in (first or config.source,
                                                                  config.source)}
    sources['mic'] = 'microphone'
    with contextlib.suppress(AvatarBridgeError, OSError):   # no PortAudio: no list
        from avatar_bridge.sources.devices import PortAudio

        sources |= {f'mic:{device.index}': device.name for device in PortAudio().devices()}
    choices = Choices(sources, load_bundle(config.bundle).styles, __version__)
    return Desk(session, config, choices, offline=partial(offline, config), change=change)


def offline(config: SessionConfig, audio: bytes, idle: float) -> Take:
    """
    Animate the bytes of an audio file at once; raises `AudioError`.

    Of a file that was cut short everything readable is used.
    """
    engine = Engine(load_bundle(config.bundle), config.engine)
    engine.set_idle(idle)
    samples, note = heard(audio, Intake(engine.sample_rate, chosen_channel(config)))
    frames = [frame for start in range(0, len(samples), engine.sample_rate)
              for frame in engine.push(samples[start:start + engine.sample_rate])]
    frames += engine.flush()
    if not frames:
        raise AudioError(note or 'expected sound, found less than a frame of it')
    turned = any(frame.head is not None for frame in frames)
    turns = np.stack([angles(frame) for frame in frames])
    return Take(
        float(engine.spec.fps), np.stack([frame.weights for frame in frames]),
        bytes(frame.flags for frame in frames), samples, engine.sample_rate,
        head=turns[:, :3] if turned else None, eyes=turns[:, 3:] if turned else None, note=note)


def heard(audio: bytes, intake: Intake) -> tuple[Samples, str]:
    """Return what the engine hears of an audio file's bytes, and what is wrong with the file."""
    pieces, note, seconds = [], '', 0.0
    with TemporaryDirectory() as folder:
        path = Path(folder) / 'upload'
        path.write_bytes(audio)
        try:
            for block in find(SOURCES['file'])(path).blocks():
                pieces.append(intake.push(block))
                seconds += len(block.samples) / block.sample_rate
                if seconds > LONGEST:
                    raise AudioError(f'expected at most {LONGEST} s of sound, got more; '
                                     'avatar-bridge animate has no limit')
        except AudioError as error:
            note = str(error).replace(str(path), 'the file')
            if not seconds or seconds > LONGEST:
                raise AudioError(note) from error
    pieces.append(intake.flush())
    return np.concatenate(pieces), note


def idle_amount(config: SessionConfig, source: AudioSource | None = None) -> float:
    """Return how much the face lives by itself at first; auto means at a microphone of ours."""
    mic = source is None and config.source.partition(':')[0] == 'mic' and config.pace == 'real'
    return float({'on': True, 'off': False}.get(config.engine.idle, mic))


def open_source(config: SessionConfig, clock: Clock) -> AudioSource:
    """Return the source that `config.source` names; files are paced where the config says so."""
    name, _, device = config.source.partition(':')
    pace = clock if config.pace == 'real' else None
    source: AudioSource
    if name == 'mic':
        source = find(SOURCES['mic'])(device)
    elif config.source == '-':
        source = find(SOURCES['-'])(sys.stdin.buffer, config.input_rate)
    elif name == 'bag' and device:
        source = open_bag(Path(device))
    else:
        source = find(SOURCES['file'])(checked_path(config.source), clock=pace)
    return source


def open_bag(path: Path, topic: str = '') -> AudioSource:
    """Return the source that reads a rosbag2; an empty topic means the only one with audio."""
    source: AudioSource = find(SOURCES['bag'])(path, topic)
    return source


def open_sink(text: str) -> FrameSink:
    """Return the sink that NAME or NAME=ARGUMENT means; it is not opened yet."""
    name = re.split('[=?]', text, maxsplit=1)[0]
    argument = text[len(name):].removeprefix('=')
    if name == 'ros':
        raise UsageError('sink ros: expected zmq or a file here; ROS topics are what the node '
                         'publishes: ros2 run avatar_bridge avatar_node')
    if name not in SINKS:
        raise UsageError(f'sink: expected one of {", ".join(SINKS)}, got {name!r}'
                         f'{nearest(name, SINKS)}')
    adapter = SINKS[name]
    if adapter.needs:
        return recorder(adapter, name, argument)
    sink: FrameSink = find(adapter)(argument)
    return sink


def sink_for(path: Path) -> str:
    """Return the sink, as NAME=FILE, that writes files with the suffix of `path`."""
    writers = {adapter.suffix: name for name, adapter in SINKS.items() if adapter.suffix}
    fitting = [suffix for suffix in writers if path.name.lower().endswith(suffix)]
    if not fitting:
        raise UsageError(f'{path}: expected a name that ends in {", ".join(writers)}'
                         f'{nearest(path.suffix.lower(), writers)}')
    return f'{writers[max(fitting, key=len)]}={path}'


def recorder(adapter: Adapter, name: str, argument: str) -> FrameSink:
    """Return a sink that writes the file `argument`."""
    if not argument:
        raise UsageError(f'sink {name}: expected {name}={adapter.needs}, got {name}')
    folder = Path(argument).absolute().parent
    if not folder.is_dir():
        raise UsageError(f'sink {name}: there is no folder {folder}; make it first')
    sink: FrameSink = find(adapter)(Path(argument))
    return sink


def checked_path(source: str) -> Path:
    """Return what `source` names; raises `UsageError` for a word that is neither file nor name."""
    path = Path(source)
    if not path.suffix and path.name == source and not path.exists():
        raise UsageError(f'source: expected mic, mic:DEVICE, - or an audio file, got {source!r}'
                         f'{nearest(source, ("mic",))}')
    return path


def find(adapter: Adapter) -> Callable[..., Any]:
    """Import an adapter; raises `MissingPackageError` where its package is not installed."""
    module, _, path = adapter.home.partition(':')
    try:
        found: Any = import_module(module)
    except ModuleNotFoundError as error:
        if str(error.name).startswith('avatar_bridge'):
            raise
        raise MissingPackageError(f'{module.rpartition(".")[2]} needs the package {error.name}, '
                                  f'which is not installed; pip install {error.name}') from error
    for name in path.split('.'):
        found = getattr(found, name)
    made: Callable[..., Any] = found
    return made


def chosen_channel(config: SessionConfig) -> Channel:
    """Return what the intake wants to know."""
    return 'mix' if config.channel == 'mix' else int(config.channel)


def stream_id(config: SessionConfig, bundle: Bundle) -> str:
    """Return an id of the run: empty (made up) live, always the same for the same work offline."""
    if config.pace == 'real':
        return ''
    plain = replace(config, sinks=(), quiet=False, verbose=False,
                    source=Path(config.source).name or '-')
    text = repr((plain.to_mapping(), bundle.manifest['files']))
    return hashlib.sha256(text.encode()).hexdigest()[:12]
