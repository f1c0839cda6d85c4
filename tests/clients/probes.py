# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The clients in other languages as programs and pages, and their compilers."""

import json
import os
from pathlib import Path
import shutil
import subprocess
import threading

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = ROOT / 'build' / 'clients'
CORE = ROOT / 'clients' / 'unity' / 'Runtime' / 'Core'


class Program:
    """A client as a program: `script` obeys commands, `receive` listens to a publisher."""

    def __init__(self, *command):
        self.command = [str(word) for word in command]

    def script(self, lines):
        """Return the answers to the commands in `lines`."""
        done = subprocess.run([*self.command, 'script'], input='\n'.join(lines) + '\n',
                              capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, '')
        return [json.loads(line) for line in done.stdout.splitlines()]

    def receive(self, url, avatar='default', *keys):
        """Begin to listen; returns a `Reception`."""
        return Reception(subprocess.Popen([*self.command, 'receive', url, avatar, *keys],
                                          stdout=subprocess.PIPE, text=True))


class Reception:
    """What a client says that it received, as it comes in."""

    def __init__(self, process):
        self.process, self.messages = process, []
        self._change = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        for line in self.process.stdout:
            with self._change:
                self.messages.append(json.loads(line))
                self._change.notify_all()

    def of(self, kind):
        """Return the messages of one kind."""
        with self._change:
            return [message for message in self.messages if message.get('kind') == kind]

    def until(self, kind, seconds=20):
        """Wait for the first message of a kind."""
        with self._change:
            assert self._change.wait_for(
                lambda: any(message.get('kind') == kind for message in self.messages), seconds)

    def end(self):
        """Wait until it has heard the end; return its last words."""
        assert self.process.wait(30) == 0
        self._thread.join(10)
        return self.messages[-1]

    def kill(self):
        """End it, whatever it does."""
        self.process.kill()
        self.process.wait()
        self._thread.join(10)
        self.process.stdout.close()


class Page:
    """The JavaScript client in a browser."""

    def __init__(self, page):
        self.page = page

    def script(self, lines):
        """Return the answers to the commands in `lines`."""
        return self.page.evaluate('lines => obey(lines)', lines)


def lacking(reason):
    """Skip, or fail where clients must be tested."""
    if os.environ.get('AVATAR_BRIDGE_REQUIRE_CLIENTS'):
        pytest.fail(f'AVATAR_BRIDGE_REQUIRE_CLIENTS is set, but {reason}')
    pytest.skip(reason)


def built(*command):
    """Run a compiler; what it says is an error."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def compiled(target, sources, *options):
    """Return what mcs makes of C# sources, with warnings as errors; made anew if any changed."""
    if not (shutil.which('mcs') and shutil.which('mono')):
        lacking('Mono is not installed: apt-get install mono-mcs mono-runtime')
    BUILD.mkdir(parents=True, exist_ok=True)
    out = BUILD / target
    newest = max(path.stat().st_mtime for path in sources)
    if not out.exists() or out.stat().st_mtime < newest:
        built('mcs', '-warnaserror', '-langversion:7.2', *options, f'-out:{out}', *sources)
    return out
