# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The clients in other languages, each as something that obeys scripts and receives streams."""

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
import shutil
import threading

from probes import BUILD, CORE, HERE, ROOT, Page, Program, built, compiled, lacking
import pytest


@pytest.fixture(scope='module')
def unity():
    """Return the C# core under Mono."""
    return Program('mono', compiled('probe.exe', [HERE / 'Probe.cs', *sorted(CORE.glob('*.cs'))]))


@pytest.fixture(scope='module')
def cpp():
    """Return the C++ client."""
    for tool, package in (('cmake', 'cmake'), ('g++', 'g++')):
        if not shutil.which(tool):
            lacking(f'{tool} is not installed: apt-get install {package}')
    for header in ('zmq.h', 'msgpack.hpp'):
        if not any((Path(folder) / header).exists() for folder in ('/usr/include',
                                                                   '/usr/local/include')):
            lacking(f'{header} is not installed: apt-get install libzmq3-dev libmsgpack-cxx-dev')
    folder = BUILD / 'cpp'
    built('cmake', '-S', HERE, '-B', folder)
    built('cmake', '--build', folder)
    return Program(folder / 'probe')


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_):
        """Be silent."""


@pytest.fixture(scope='module')
def site():
    """Return the address of a server that is none of ours, with the files of the repository."""
    server = ThreadingHTTPServer(('127.0.0.1', 0), partial(Quiet, directory=ROOT))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}'
    server.shutdown()
    server.server_close()


@pytest.fixture(scope='module')
def javascript(site):
    """Return the JavaScript client on a page in Chromium."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which('chromium') or shutil.which('chromium-browser')
    with sync_playwright() as playwright, playwright.chromium.launch(
            executable_path=chromium, args=['--no-sandbox']) as browser:
        page = browser.new_page()
        complaints = []
        page.on('pageerror', lambda error: complaints.append(str(error)))
        page.goto(f'{site}/tests/clients/probe.html')
        page.wait_for_function('window.obey !== undefined')
        yield Page(page)
        assert complaints == []


CLIENTS = ['unity', 'cpp', pytest.param('javascript', marks=pytest.mark.browser)]


@pytest.fixture(scope='module', params=CLIENTS)
def client(request):
    """Return each client in turn."""
    return request.getfixturevalue(request.param)
