# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Convert a corpus: `python -m model.convert FOLDER --out OUT`, features and pseudo-labels.

Every file of sound becomes `OUT/<its path>.npz`. A stopped run goes on where it was; whoever made
it, one process or a Ray cluster (`--ray`), the files and `manifest.json` have the same bytes.
Machines that share a disk but no cluster take a part each (`--part 0/4`).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
import fcntl
from itertools import pairwise
import json
import multiprocessing
from pathlib import Path
import signal
import sys
from typing import Any

from tqdm import tqdm

from avatar_bridge.errors import AvatarBridgeError
from model.converters import ConvertConfig, Converter, Row, Source
from model.datasets.sound import SUFFIXES
from model.shards import share

RowsOf = Callable[[ConvertConfig, list[Source]], Iterator[Row]]


def sources_in(folder: Path) -> list[Source]:
    """Return every file of sound under a folder, sorted."""
    paths = sorted(path for path in folder.rglob('*') if path.suffix.lower() in SUFFIXES)
    sources = [Source(path.relative_to(folder).with_suffix('').as_posix(),
                      str(path.resolve())) for path in paths]
    for one, other in pairwise(sources):
        if one.id == other.id:
            raise ValueError(f'{one.path} and {other.path} would both become {one.id}.npz')
    if not sources:
        raise ValueError(f'{folder}: expected files of sound ({", ".join(SUFFIXES)}), found none')
    return sources


class Ledger:
    """What is done: `manifest.json` of whole runs, `rows.jsonl` of the one that is under way."""

    def __init__(self, out: Path, facts: dict[str, Any], part: str = '') -> None:
        """Go on with a folder, or begin one; one process at a time for each `part`."""
        out.mkdir(parents=True, exist_ok=True)
        self._out, self._facts = out, facts
        self._manifest = out / f'manifest{part}.json'
        self._file = (out / f'rows{part}.jsonl').open('a+', encoding='utf-8')
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise ValueError(f'another run writes to {out}') from None
        self.rows: dict[str, Row] = {}
        try:
            self._read()
        except BaseException:
            self.close()
            raise

    def _read(self) -> None:
        """Take over what earlier runs made, if it is what this one makes."""
        if self._manifest.exists():
            found = json.loads(self._manifest.read_text(encoding='utf-8'))
            if found['made'] != self._facts:
                raise ValueError(f'{self._out} was made with {found["made"]}, this run is '
                                 f'{self._facts}; name another folder')
            self.rows |= {row['id']: row for row in found['files']}
        else:
            self.write()
        self._file.seek(0)
        text = self._file.read()
        whole = text[:text.rfind('\n') + 1]             # the last line of a killed run is half
        self._file.truncate(len(whole.encode()))
        self.rows |= {row['id']: row for row in map(json.loads, whole.splitlines())}

    def lacks(self, source: Source) -> bool:
        """Tell whether a file is still to be made; what failed is tried again."""
        row = self.rows.get(source.id, {'error': 'new'})
        return 'error' in row or not (self._out / f'{source.id}.npz').is_file()

    def add(self, row: Row) -> None:
        """Remember a row."""
        print(json.dumps(row, ensure_ascii=False), file=self._file, flush=True)
        self.rows[row['id']] = row

    def write(self) -> None:
        """Write the manifest, and end the journal that it replaces."""
        half = self._manifest.with_suffix('.half')
        half.write_text(json.dumps(
            {'made': self._facts, 'files': [self.rows[name] for name in sorted(self.rows)]},
            ensure_ascii=False, indent=1), encoding='utf-8')
        half.replace(self._manifest)
        self._file.truncate(0)

    def close(self) -> None:
        """Let others write."""
        self._file.close()


_converters: list[Converter] = []


def _start_worker(config: ConvertConfig) -> None:
    """Load once in a worker; a Ctrl-C is the parent's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _converters[:] = [Converter(config)]


def _work(source: Source) -> Row:
    return _converters[0](source)


def on_processes(config: ConvertConfig, sources: list[Source], workers: int) -> Iterator[Row]:
    """Yield rows as they are made; one worker is this process."""
    if workers == 1:
        yield from map(Converter(config), sources)
        return
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context('spawn'), _start_worker,
                               (config,))
    waiting, under_way = iter(sources), set[Future[Row]]()
    try:
        while True:
            for source in waiting:
                under_way.add(pool.submit(_work, source))
                if len(under_way) >= 2 * workers:
                    break
            if not under_way:
                return
            done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
    finally:
        pool.shutdown(cancel_futures=True)


class _RayWork:
    """A Converter on a machine of the cluster; rows travel as JSON."""

    def __init__(self, config: ConvertConfig) -> None:
        self._converter = Converter(config)

    def __call__(self, item: dict[str, str]) -> dict[str, str]:
        return {'row': json.dumps(self._converter(Source(item['id'], item['path'])))}


def on_ray(config: ConvertConfig, sources: list[Source], workers: int, address: str,
           ) -> Iterator[Row]:
    """Yield rows as the workers of a Ray cluster make them; an empty address is this machine."""
    import ray
    import ray.data

    ray.init(address=address or None, log_to_driver=False, include_dashboard=False,
             runtime_env={'env_vars': {'OMP_NUM_THREADS': '1'}})
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        items = [source._asdict() for source in sources]
        made = ray.data.from_items(items, override_num_blocks=min(len(items), 16 * workers)).map(
            _RayWork, fn_constructor_args=(config,), num_cpus=1,
            compute=ray.data.ActorPoolStrategy(size=workers))
        for item in made.iter_rows():
            yield json.loads(item['row'])
    finally:
        ray.shutdown()


def convert(config: ConvertConfig, sources: list[Source], rows_of: RowsOf, part: str = '',
            ) -> dict[str, Row]:
    """
    Make what is not there yet, and the manifest; return its rows.

    :param config: what to make
    :param sources: of what
    :param rows_of: who makes it, on processes or on Ray
    :param part: behind the manifest's name, where others make other parts
    """
    ledger = Ledger(Path(config.out), config.facts(), part)
    try:
        missing = [source for source in sources if ledger.lacks(source)]
        with tqdm(total=len(sources), initial=len(sources) - len(missing), unit='file',
                  desc=config.out) as bar:
            for row in rows_of(config, missing) if missing else ():
                ledger.add(row)
                bar.update()
        ledger.write()
        return ledger.rows
    finally:
        ledger.close()


def command_line() -> argparse.ArgumentParser:
    """Return the parser."""
    command = argparse.ArgumentParser('python -m model.convert', description=__doc__)
    command.add_argument('folder', type=Path, help='files of sound, in folders or not')
    command.add_argument('--out', required=True, help='folder for the npz files')
    command.add_argument('--features', default='mel', metavar='mel|none|SOURCE',
                         help='log-mel, or the tokens of a HuBERT, wav2vec2, WavLM or Whisper '
                         'from a folder or a hub (default: mel)')
    command.add_argument('--labels', default='none', metavar='none|teacher|BUNDLE',
                         help='curves of the teacher, for TextGrids beside the files, or of a '
                         'bundle (default: none)')
    command.add_argument('--fps', type=int, default=60, help="of a bundle's curves (default: 60)")
    command.add_argument('--seed', type=int, default=0)
    command.add_argument('--workers', type=int, default=1, metavar='N')
    command.add_argument('--ray', nargs='?', const='', metavar='ADDRESS',
                         help='on the Ray cluster at ADDRESS, or on a local one')
    command.add_argument('--part', type=part, default=(0, 1), metavar='K/N',
                         help='only part K of N, counted from 0, the same files always')
    return command


def part(text: str) -> tuple[int, int]:
    """Return `K/N` as numbers."""
    index, count = (int(number) for number in text.split('/'))
    if not 0 <= index < count:
        raise ValueError(f'K must lie in [0, N), got {text}')
    return index, count


def main(argv: list[str] | None = None) -> int:
    """Convert; 1 where a file failed, and a line on stderr that says why."""
    arguments = command_line().parse_args(argv)
    workers = arguments.workers

    def rows_of(config: ConvertConfig, sources: list[Source]) -> Iterator[Row]:
        if arguments.ray is None:
            return on_processes(config, sources, workers)
        return on_ray(config, sources, workers, arguments.ray)

    try:
        config = ConvertConfig(str(Path(arguments.out).resolve()), arguments.features,
                               arguments.labels, arguments.fps, arguments.seed)
        if workers < 1:
            raise ValueError(f'workers must be 1 or more, got {workers}')
        index, count = arguments.part
        sources = share(sources_in(arguments.folder), lambda source: source.id, worker=index,
                        workers=count)
        rows = convert(config, sources, rows_of, f'_{index}_of_{count}' if count > 1 else '')
    except KeyboardInterrupt:
        print('stopped; the same command goes on from here', file=sys.stderr)
        return 130
    except (AvatarBridgeError, ImportError, OSError, ValueError) as error:
        print(f'convert: {error}', file=sys.stderr)
        return 1
    failed = [row for row in rows.values() if 'error' in row]
    for row in failed:
        print(f'convert: {row["id"]}: {row["error"]}', file=sys.stderr)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
