# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The command `avatar-bridge VERB`; exit status 0 done, 1 failed while running, 2 wrong usage."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
import logging
import os
from pathlib import Path
import signal
import sys
import traceback
from typing import TYPE_CHECKING, Any, Final, NoReturn

from avatar_bridge import __version__
from avatar_bridge.bundle import load_bundle
from avatar_bridge.clock import MonotonicClock
from avatar_bridge.compose import DEFAULT_SINKS, compose, open_bag, open_sink, sink_for
from avatar_bridge.config import OPTIONS, Option, SessionConfig, nearest, read_toml
from avatar_bridge.display import ProgressBar, StatusLine, delivery, status, watch
from avatar_bridge.errors import AvatarBridgeError, MissingPackageError, SinkError, UsageError
from avatar_bridge.play import Playback
from avatar_bridge.session import Pace, Session, SessionSettings
from avatar_bridge.sinks.web_address import DEFAULT_PORT, for_viewer, is_web

if TYPE_CHECKING:
    from avatar_bridge.stage import Stage

#: Options that make no sense where audio comes from a named file and goes into another.
LIVE_ONLY: Final = ('source', 'input_rate', 'pace', 'sink')
#: Options of whoever plays frames that are made already.
PLAYERS: Final = ('sink', 'pace', 'avatar', 'quiet', 'verbose')
#: Options of the gRPC service, whose sound and shapes are the clients' business.
SERVICE: Final = ('bundle', 'backend', 'device', 'profile', 'fps', 'steps', 'seed', 'style',
                  'guidance', 'gain', 'idle', 'quiet', 'verbose')
OUTPUT: Final = ('.csv (Live Link), .npz, .jsonl, .mcap; .glb, .usda, .anim and .track.json are '
                 'animations, .a2f.csv a table; .mp4 is a film of the face with its sound, .png '
                 'a sheet of portraits')
EPILOG: Final = 'Options may stand in a TOML file too (--config), under the same names.'


class Parser(argparse.ArgumentParser):
    """Argparse that names the nearest known option, and says it in one line."""

    def __init__(self, **options: Any) -> None:
        """Accept whole names only: an abbreviation would hide a mistake."""
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Exit with status 2."""
        words = message.removeprefix('unrecognized arguments: ').split()
        if message.startswith('argument VERB: invalid choice: '):
            words = message.removeprefix('argument VERB: invalid choice: ').split(maxsplit=1)
        near = nearest(words[0].partition('=')[0].strip("'"), self.known()) if words else ''
        self.exit(2, f'avatar-bridge: {message}{near}; see {self.prog} --help\n')

    def known(self) -> list[str]:
        """Return the option strings and verbs of this parser and those below it."""
        names = [name for action in self._actions for name in action.option_strings]
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                for name, parser in action.choices.items():
                    names += [name, *parser.known()]
        return names


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; return the exit status."""
    arguments = parser().parse_args(argv)
    verbose = getattr(arguments, 'verbose', False)
    logging.basicConfig(level=logging.DEBUG if verbose else logging.ERROR,
                        format='%(levelname)s %(name)s: %(message)s')
    for outlet in ('sinks.web', 'sinks.zeromq', 'a2f.server'):  # who else can reach them is said
        logging.getLogger(f'avatar_bridge.{outlet}').setLevel(logging.WARNING)
    for number in (signal.SIGINT, signal.SIGTERM):      # a shell's `&` has SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    try:
        return int(arguments.verb(arguments))
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if verbose:
            traceback.print_exc()
        known = isinstance(error, AvatarBridgeError)
        text = ' '.join(str(error).split()) if known else f'unexpected {error!r}; -v shows where'
        print(f'avatar-bridge: {text}', file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1


def parser() -> Parser:
    """Return the parser of all verbs, made from the table of options."""
    top = Parser(prog='avatar-bridge', description='Speech in, moving face out.', epilog=EPILOG)
    top.add_argument('--version', action='version', version=__version__)
    verbs = top.add_subparsers(title='verbs', metavar='VERB', required=True)

    def verb(name: str, function: Callable[[argparse.Namespace], int], text: str) -> Parser:
        made: Parser = verbs.add_parser(name, help=text, description=text, epilog=EPILOG)
        made.set_defaults(verb=function)
        made.add_argument('-v', '--verbose', action='store_true', help='show tracebacks and more')
        return made

    live = verb('run', run, 'live: a source through the engine to sinks, until it ends or Ctrl-C')
    add_options(live, OPTIONS.values())
    viewer = verb('view', view, 'live, with a face to look at: a page in the browser')
    viewer.add_argument('--port', metavar='[HOST:]PORT', default=f'{DEFAULT_PORT}',
                        help='where to serve the page (default: %(default)s on this machine)')
    viewer.add_argument('--open', action='store_true', help='open the page in a browser')
    add_options(viewer, OPTIONS.values())
    offline = [option for option in OPTIONS.values() if option.name not in LIVE_ONLY]
    file = verb('animate', animate, 'offline: an audio file to a file of frames')
    file.add_argument('input', metavar='IN', help='audio file: WAV, FLAC, Ogg, MP3')
    bag = verb('replay', replay, 'a recorded rosbag2 with audio in, frames out; needs no ROS')
    bag.add_argument('input', metavar='BAG', type=Path, help='rosbag2 folder or file')
    bag.add_argument('--topic', default='', help='the audio topic (default: the only one)')
    for made in (file, bag):
        made.add_argument('-o', '--output', metavar='OUT', required=True, type=Path, help=OUTPUT)
        add_options(made, offline)
    recording = verb('play', play, 'a recording of frames to sinks, in real time or to a file')
    recording.add_argument('input', metavar='REC', type=Path, help='.csv (Live Link Face), .npz, '
                           '.jsonl, .mcap or a rosbag2 with frames')
    recording.add_argument('-o', '--output', metavar='OUT', type=Path,
                           help=f'a file instead of sinks, as fast as possible: {OUTPUT}')
    add_options(recording, [OPTIONS[name] for name in PLAYERS])
    service = verb('a2f', a2f, 'serve the Audio2Face-3D gRPC service to clients of NVIDIA\'s')
    service.add_argument('--port', metavar='[HOST:]PORT', default='52000',
                         help='where to listen (default: %(default)s on this machine)')
    add_options(service, [OPTIONS[name] for name in SERVICE])
    verb('devices', devices, 'list audio inputs')
    about = verb('inspect', inspect, 'what a bundle is')
    about.add_argument('bundle', nargs='?', default='live', metavar='BUNDLE')
    figures = verb('bench', bench, 'measure this machine against the promises')
    figures.add_argument('--json', action='store_true', help='print JSON instead of a table')
    check = verb('doctor', doctor, 'check the installation and say what to do')
    check.add_argument('--bundle', default='live', metavar='NAME|DIR')
    return top


def add_options(made: argparse.ArgumentParser, options: Any) -> None:
    """Add a flag for each option; absent ones leave no trace, so that a file can fill them."""
    made.add_argument('--config', type=Path, metavar='FILE.toml', help='read options from a file')
    for option in options:
        if option.name == 'verbose':
            continue
        facts: dict[str, Any] = {'help': help_of(option), 'dest': f'option_{option.name}',
                                 'default': argparse.SUPPRESS}
        if option.kind == 'switch':
            facts['action'] = 'store_true'
        else:
            facts['metavar'] = option.metavar or option.name.upper()
            facts['action'] = 'append' if option.repeatable else 'store'
        made.add_argument(option.flag, **facts)


def help_of(option: Option) -> str:
    """Return what --help says: meaning, range, unit, default."""
    text = option.help
    if option.kind in ('integer', 'number', 'ratio') or option.choices:
        text += f'; {option.accepts()}'
    if option.kind not in ('switch', 'gains', 'list'):
        text += f' (default: {option.default if option.default != "" else "none"})'
    return text.replace('%', '%%')


def configured(arguments: argparse.Namespace, **fixed: Any) -> SessionConfig:
    """Return the configuration: the file's values, then the flags', then `fixed`."""
    values = read_toml(arguments.config) if arguments.config else {}
    values = {name.replace('-', '_'): value for name, value in values.items()}
    for name, value in vars(arguments).items():
        if name.startswith('option_'):
            values[name.removeprefix('option_')] = value
    return SessionConfig.from_mapping({**values, 'verbose': arguments.verbose, **fixed})


def run(arguments: argparse.Namespace) -> int:
    """Animate a source live."""
    config = configured(arguments)
    if any(map(is_web, config.sinks)):
        from avatar_bridge.stage import Stage

        with Stage(config) as stage:
            print(f'the face is at {stage.server.address}', file=sys.stderr)
            while not watch(stage.session(), display_of(config)) and stage.wait(0.0):
                pass
    else:
        watch(compose(config), display_of(config))
    return 0


def view(arguments: argparse.Namespace) -> int:
    """Animate a source live before a page, which stays when the source has ended."""
    from avatar_bridge.stage import Stage

    config = for_viewer(configured(arguments), arguments.port)
    with Stage(config) as stage:
        session = stage.session()
        print(f'the face is at {stage.server.address} (Ctrl-C ends)', flush=True)
        if arguments.open:
            import webbrowser

            webbrowser.open(stage.server.address)
        while not shown(stage, session, display_of(config)):
            session = chosen(stage)
    return 0


def shown(stage: Stage, session: Session, display: StatusLine | None) -> bool:
    """
    Run a session; True: Ctrl-C ended it.

    What is wrong with the sound is told to the pages and is not the end; a taken port is.
    """
    try:
        return watch(session, display)
    except SinkError:
        raise
    except AvatarBridgeError as error:
        complain(stage, error)
        return False


def chosen(stage: Stage) -> Session:
    """Return the session that a page asks for next; what cannot be made is told to the pages."""
    while True:
        while not stage.wait(0.25):         # in slices: a signal is seen between two of them
            pass
        try:
            return stage.session()
        except AvatarBridgeError as error:
            complain(stage, error)


def complain(stage: Stage, error: AvatarBridgeError) -> None:
    """Say here and on the pages what went wrong."""
    stage.report(error)
    print(f'avatar-bridge: {" ".join(str(error).split())}', file=sys.stderr)


def display_of(config: SessionConfig) -> StatusLine | None:
    """Return what shows how a live session goes."""
    return None if config.quiet else StatusLine(status)


def animate(arguments: argparse.Namespace) -> int:
    """Animate a file as fast as possible."""
    if arguments.input == '-' or arguments.input.startswith('mic'):
        raise UsageError(f'animate: expected an audio file, got {arguments.input!r}; '
                         'live sources are for `run`')
    config = configured(arguments, source=str(Path(arguments.input)), pace='max',
                        sink=[sink_for(arguments.output)])
    watch(compose(config), None if config.quiet else ProgressBar(arguments.output.name))
    return 0


def replay(arguments: argparse.Namespace) -> int:
    """Animate the audio of a bag as fast as possible."""
    config = configured(arguments, source=str(arguments.input), pace='max',
                        sink=[sink_for(arguments.output)])
    source = open_bag(arguments.input, arguments.topic)
    watch(compose(config, source=source),
          None if config.quiet else ProgressBar(arguments.output.name))
    return 0


def play(arguments: argparse.Namespace) -> int:
    """Hand a recording to sinks."""
    from avatar_bridge.sources.recorded import read_file

    if arguments.output and hasattr(arguments, 'option_sink'):
        raise UsageError('play: expected -o OUT or --sink, got both; a file is a sink, too: '
                         f'--sink {sink_for(arguments.output)}')
    fixed = {'pace': 'max', 'sink': [sink_for(arguments.output)]} if arguments.output else {}
    config = configured(arguments, **fixed)
    pace, clock = Pace(config.pace), MonotonicClock()
    sinks = {name: open_sink(name) for name in config.sinks or DEFAULT_SINKS}
    for sink in sinks.values():
        if pace is Pace.REAL and (follow := getattr(sink, 'follow', None)):
            follow(clock)
    playback = Playback(read_file(arguments.input), list(sinks.values()), clock=clock,
                        settings=SessionSettings(pace=pace, avatar=config.avatar))
    display = (StatusLine(delivery) if pace is Pace.REAL else ProgressBar(arguments.input.name))
    for sink in sinks.values():
        if server := getattr(sink, 'server', None):
            print(f'the face is at {server.address}', file=sys.stderr)
    watch(playback, None if config.quiet else display)
    return 0


def a2f(arguments: argparse.Namespace) -> int:
    """Serve other programs' audio until Ctrl-C."""
    try:
        from avatar_bridge.a2f.server import Server, host_and_port
    except ModuleNotFoundError as error:
        if str(error.name).startswith('avatar_bridge'):
            raise
        raise MissingPackageError(f'a2f needs the package {error.name}, which is not installed; '
                                  'pip install avatar_bridge[a2f]') from error
    config = configured(arguments)
    with Server(config, *host_and_port(arguments.port)) as server:
        if not config.quiet:
            print(f'Audio2Face-3D clients find us at {server.address} (Ctrl-C ends)', flush=True)
        while not server.wait(0.25):        # in slices: a signal is seen between two of them
            pass
    return 0


def devices(_arguments: argparse.Namespace) -> int:
    """Print the audio inputs."""
    from avatar_bridge.sources.microphone import devices as inputs

    found = inputs()
    for device in found:
        mark = '*' if device.is_default else ' '
        print(f'{mark} {device.index:3d}  {device.name}  ({device.channels} channels, '
              f'{device.sample_rate:g} Hz)')
    print('* is the default' if found else 'no audio input was found; avatar-bridge doctor says '
          'what to do')
    return 0


def inspect(arguments: argparse.Namespace) -> int:
    """Print what a bundle is."""
    from avatar_bridge.inspection import describe

    print(describe(load_bundle(arguments.bundle)))
    return 0


def bench(arguments: argparse.Namespace) -> int:
    """Measure and print the promised figures."""
    from avatar_bridge.bench import report

    return report(as_json=arguments.json)


def doctor(arguments: argparse.Namespace) -> int:
    """Check the installation."""
    from avatar_bridge.doctor import report

    return report(arguments.bundle)
