# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""A page in Chromium, and everything it said and asked for."""

import base64
import os
import shutil
import time
from urllib.parse import urlsplit

#: SwiftShader in place of a graphics card; nothing but the page may use the network.
FLAGS = (
    '--no-sandbox', '--use-angle=swiftshader', '--enable-unsafe-swiftshader',
    '--ignore-gpu-blocklist', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
    '--autoplay-policy=no-user-gesture-required',
    '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
)
DROP = """([name, text]) => {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], name));
  for (const type of ['dragenter', 'dragover', 'drop']) {
    document.body.dispatchEvent(
      new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true }));
  }
}"""


def installed():
    """Return the path of Chromium, or None."""
    return os.environ.get('CHROMIUM') or shutil.which('chromium') or shutil.which(
        'chromium-browser')


def chromium(playwright, *flags):
    """Return a fresh headless browser."""
    return playwright.chromium.launch(executable_path=installed(), args=[*FLAGS, *flags])


class Visit:
    """One look at one page."""

    def __init__(self, browser, address, *, allowed=(), **options):
        """Open `address`; complaints that contain a text of `allowed` are expected."""
        self.requests, self.complaints, self._allowed = [], [], allowed
        self._wire = None
        self._context = browser.new_context(**{'viewport': {'width': 800, 'height': 600},
                                               **options})
        self.page = self._context.new_page()
        self.uploads = []
        self._context.on('request', self._note)
        self.page.on('websocket', lambda socket: self.requests.append(socket.url))
        self.page.on('pageerror', lambda error: self._complain(str(error)))
        self.page.on('console', self._hear)
        self.page.goto(address)

    @property
    def foreign(self):
        """Requests to anybody but this machine, and whatever is no page of ours."""
        return [url for url in self.requests if urlsplit(url).scheme not in ('blob', 'data')
                and urlsplit(url).hostname != '127.0.0.1']

    def state(self):
        """Return where the page stands, as it says."""
        return self.ask('window.avatarBridge.state()')

    def ask(self, expression):
        """Return the value of JavaScript; unlike Playwright's `evaluate` it counts as no click."""
        if self._wire is None:
            self._wire = self._context.new_cdp_session(self.page)
        told = self._wire.send('Runtime.evaluate', {'expression': expression,
                                                    'returnByValue': True})
        assert 'exceptionDetails' not in told, told['exceptionDetails']
        return told['result'].get('value')

    def until(self, condition, seconds=20):
        """Wait until `condition`, JavaScript over the page's `state`, holds; return the state."""
        end = time.monotonic() + seconds
        told = f'''(() => {{ const state = window.avatarBridge.state();
                   return [Boolean({condition}), state]; }})()'''
        while True:
            done, state = self.ask(told)
            if done:
                return state
            if time.monotonic() > end:
                facts = {key: value for key, value in state.items()
                         if isinstance(value, (int, float, str))}
                raise AssertionError(f'expected {condition}, got {facts}')
            self.page.wait_for_timeout(30)

    def drop(self, path):
        """Drop a file on the page."""
        self.page.evaluate(DROP, [path.name, base64.b64encode(path.read_bytes()).decode()])

    def close(self):
        """Close the page."""
        self._context.close()

    def _note(self, request):
        self.requests.append(request.url)
        if request.method != 'GET':
            self.uploads.append(request.url)

    def _hear(self, message):
        if message.type in ('error', 'warning'):
            self._complain(f'{message.text} ({message.location.get("url", "")})')

    def _complain(self, text):
        if not any(allowed in text for allowed in self._allowed):
            self.complaints.append(text)
