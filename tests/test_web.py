# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The viewer's server and its sink over real sockets: what arrives, and what is kept out."""

from __future__ import annotations

import asyncio
import contextlib
from fractions import Fraction
import json
import logging
import os
import socket
import threading
import time

import aiohttp
import numpy as np
import pytest
from web_page import Page, is_a, is_frame, is_meta, page

from avatar_bridge.errors import SinkError, UsageError
from avatar_bridge.frames import Event, FaceFrame, Flags, StreamInfo, TimedAudio, TimedFrame
from avatar_bridge.rig import NAMES
from avatar_bridge.sinks import web_server
from avatar_bridge.sinks.outbox import Outbox, Sort
from avatar_bridge.sinks.web import WebSink, warn_if_open
from avatar_bridge.sinks.web_address import host_and_port, origins
from avatar_bridge.sinks.web_guard import HEADERS, is_own_page, is_this_server

INFO = StreamInfo('run', 'robot', NAMES, Fraction(60), Fraction(1, 10), 'live', 16000)
UPGRADE = ('GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n'
           'Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n'
           'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n')


def frame(index):
    weights = np.full(52, index % 10 / 10, np.float32)
    now = time.time_ns()
    return TimedFrame(FaceFrame(index, weights, Flags.SPEECH, np.full(3, 0.1, np.float32),
                                np.full(4, -0.2, np.float32)), now, now)


@pytest.fixture
def sink():
    made = WebSink(port=0)
    made.open(INFO)
    yield made
    made.close()


@contextlib.contextmanager
def feeding(sink, period=1 / 60):
    """Send frames, with sound, until left."""
    over = threading.Event()

    def feed():
        index = 0
        while not over.wait(period):
            sink.send(frame(index))
            sink.hear(TimedAudio(267 * index, np.zeros(267, np.float32), 16000, 0, 0))
            index += 1

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def get(sink, path='', method='GET', **options):
    """Return the answer's status, headers and body."""
    async def ask():
        async with aiohttp.ClientSession() as client, client.request(
                method, sink.server.address + path, **options) as answer:
            return answer.status, answer.headers, await answer.read()
    return asyncio.run(ask())


@pytest.fixture
def connect():
    """Return what makes TCP connections to a server; they end with the test."""
    with contextlib.ExitStack() as stack:
        def made(sink, buffer=None):
            connection = stack.enter_context(socket.socket())
            if buffer:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            connection.settimeout(5.0)
            connection.connect(('127.0.0.1', sink.server.port))
            return connection
        yield made


def hangs_up(connection):
    """Return whether the server ends a connection within its timeout, whatever it says before."""
    try:
        while connection.recv(65536):
            pass
    except ConnectionError:
        pass
    return True


def test_frames_sound_and_events_arrive_whole_and_in_order(sink):
    async def look():
        async with page(sink.server.address) as seen:
            await seen.until(is_meta)
            for index in range(300):
                sink.send(frame(index))
                if index % 3 == 0:
                    sink.hear(TimedAudio(800 * index, np.full(800, 0.5, np.float32), 16000, 1, 2))
                if index == 151:
                    sink.notify(Event('flush'))
                await asyncio.sleep(0.002)
            await seen.until(lambda heard: is_frame(heard) and heard.index == 299)
            return seen.heard

    heard = asyncio.run(look())
    frames = [message for message in heard if is_frame(message)]
    assert [message.index for message in frames] == list(range(300))
    assert all(message.stream == 'run' and message.flags == Flags.SPEECH for message in frames)
    for message in frames:
        np.testing.assert_array_equal(message.weights, frame(message.index).frame.weights)
        np.testing.assert_array_equal(message.head, np.full(3, 0.1, np.float32))
        np.testing.assert_array_equal(message.eyes, np.full(4, -0.2, np.float32))
    sounds = [message for message in heard if hasattr(message, 'samples')]
    assert [message.start for message in sounds] == [2400 * number for number in range(100)]
    place = heard.index(Event('flush'))
    assert heard[place - 1].index == 151
    assert heard[place + 1].index == 152


def test_a_new_page_hears_what_the_stream_is(sink):
    async def look():
        async with page(sink.server.address) as seen:
            return await seen.until(is_meta)

    meta = asyncio.run(look())
    assert (meta.stream, meta.avatar, meta.names) == ('run', 'robot', NAMES)
    assert (meta.fps, meta.latency_ms, meta.sample_rate) == (60.0, 100.0, 16000)


def test_a_stalled_page_delays_nobody_and_gets_fresh_frames_again(sink, connect):
    stalled = connect(sink, buffer=4096)
    stalled.sendall(UPGRADE.format(port=sink.server.port).encode())

    async def look():
        async with page(sink.server.address) as seen:
            await seen.until(is_frame)
            await asyncio.sleep(2.5)
            return seen.frames

    with feeding(sink):
        frames = asyncio.run(look())
        ages = [message.publish_ns for message in frames]
        assert [message.index for message in frames] == list(
            range(frames[0].index, frames[0].index + len(frames)))
        assert len(frames) > 100
        assert ages == sorted(ages)
        assert max(sink.server.dropped) > 50
        lost = max(sink.server.dropped)
        asyncio.run(wake_up(stalled))
    assert sink.skipped >= lost


async def wake_up(stalled):
    """Read on where nobody read for seconds: what the kernel held is old, the rest is not."""
    reader, writer = await asyncio.open_connection(sock=stalled)
    await reader.readuntil(b'\r\n\r\n')
    ages, deadline = [], time.monotonic() + 1.0
    while time.monotonic() < deadline:
        _, length = await reader.readexactly(2)
        if length == 126:
            length = int.from_bytes(await reader.readexactly(2), 'big')
        payload = await reader.readexactly(length)
        if payload[:1] == b'\0':
            ages.append((time.time_ns() - web_page_time(payload)) / 1e6)
    writer.close()
    assert ages[0] > 1000
    assert sorted(ages[-30:])[15] < 100         # the machine may hiccup once, not always


def web_page_time(payload):
    from avatar_bridge import wire

    return wire.decode_face(payload[1:]).publish_ns


def test_sending_never_waits_for_a_page_that_does_not_read(sink, connect):
    stalled = connect(sink, buffer=4096)
    stalled.sendall(UPGRADE.format(port=sink.server.port).encode())
    while not sink.server.dropped:
        time.sleep(0.01)
    began = time.monotonic()
    for index in range(3000):
        sink.send(frame(index))
    assert time.monotonic() - began < 3.0       # 30 us each; a wait for the page would be for ever
    stalled.close()


def test_outbox_keeps_the_newest_frames_and_the_order_of_all():
    box = Outbox()
    for number in range(7):
        box.put(b'%d' % number, Sort.FRAME)
        box.put(f'note {number}')
        box.put(f'status {number}', Sort.STATUS)
    taken = []
    while (message := box.take()) is not None:
        taken.append(message)
    assert [message for message in taken if isinstance(message, bytes)] == [b'3', b'4', b'5', b'6']
    assert [message for message in taken if str(message).startswith('note')] == [
        f'note {number}' for number in range(7)]
    assert taken[-3:] == [b'6', 'note 6', 'status 6']
    assert box.dropped == 3


@pytest.mark.parametrize('text', [
    'garbage', '', '[]', '3', 'null', '{}', '{"type": 3}', '{"type": "gain", "value": NaN}',
    '{"type": "mute", "on": true', '[' * 20000, '{"type": "ping"}' * 2, '{"type": "mute"}',
    '\ud800"'.encode('utf-8', 'replace').decode(), '{"type": "x' + 'y' * 60000 + '"}',
], ids=range(14))
def test_a_page_that_talks_nonsense_gets_an_answer(sink, text):
    async def talk():
        async with page(sink.server.address) as seen:
            return await seen.answer(text)

    answer = asyncio.run(talk())
    assert answer
    assert len(answer) <= 400
    assert '\n' not in answer


def test_binary_and_huge_messages_end_the_page_that_sent_them_and_no_other(sink):
    async def talk():
        async with page(sink.server.address) as good:
            async with page(sink.server.address) as bad:
                await bad.socket.send_bytes(b'\x00' * 100)
                assert await bad.end() == aiohttp.WSCloseCode.UNSUPPORTED_DATA
            async with page(sink.server.address) as bad:
                await bad.say('x' * 70_000)
                assert await bad.end() == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
            return await good.answer({'type': 'ping', 'id': 1})

    assert asyncio.run(talk()) is None


def test_pong_tells_the_time(sink):
    async def talk():
        async with page(sink.server.address) as seen:
            await seen.say({'type': 'ping', 'id': 7})
            return await seen.until(lambda heard: is_a(heard, 'pong'))

    before = time.time_ns()
    pong = asyncio.run(talk())
    assert pong['id'] == 7
    assert abs(int(pong['server_ns']) - before) < 60e9


@pytest.mark.parametrize('junk', [
    os.urandom(4096), b'\r\n' * 1000, b'GET / HTTP/9.9\r\n\r\n', b'GET ' + b'a' * 70_000,
    b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + bytes(200),
    b'POST /api/animate HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n',
    b'POST /api/animate HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n',
    b'GET / HTTP/1.1\r\n' + b'X: y\r\n' * 2000 + b'\r\n',
], ids=range(8))
def test_raw_garbage_is_survived(sink, connect, junk):
    connection = connect(sink)
    with contextlib.suppress(ConnectionError):
        connection.sendall(junk)
        connection.shutdown(socket.SHUT_WR)
    with contextlib.suppress(OSError):
        connection.recv(65536)
    connection.close()
    assert get(sink)[0] == 200


@pytest.mark.parametrize('junk', [
    os.urandom(2000), b'\xf1\xff' + bytes(300), b'\x81\x05hello', b'\x82\xff' + b'\xff' * 12,
    b'\x88\x80\x00\x00\x00\x00' * 3,
], ids=['noise', 'reserved', 'unmasked', 'exabytes', 'closing'])
def test_garbage_after_the_handshake_is_survived(sink, connect, junk):
    connection = connect(sink)
    connection.sendall(UPGRADE.format(port=sink.server.port).encode())
    assert connection.recv(4096).startswith(b'HTTP/1.1 101')
    with contextlib.suppress(ConnectionError):
        connection.sendall(junk)
        connection.shutdown(socket.SHUT_WR)
    assert hangs_up(connection)
    connection.close()
    assert get(sink)[0] == 200


PATHS = ('', 'app.js', 'head.glb', 'ws', 'api/info', 'nothing')


@pytest.mark.parametrize('path', PATHS)
@pytest.mark.parametrize('headers', [
    {'Host': 'evil.example:{port}'}, {'Host': 'evil.example'}, {'Host': '127.0.0.1:1'},
    {'Host': ''}, {'Origin': 'http://evil.example'}, {'Origin': 'null'}, {'Origin': ''},
    {'Origin': 'http://127.0.0.1:1'}, {'Origin': 'http://127.0.0.1'},
], ids=str)
def test_foreign_names_and_foreign_pages_are_refused(sink, path, headers):
    told = {name: value.format(port=sink.server.port) for name, value in headers.items()}
    status, _, body = get(sink, path, headers=told)
    assert status == 403
    assert 'expected' in json.loads(body)['error']


def test_no_foreign_page_opens_a_socket_or_uploads(sink):
    async def talk(origin):
        async with aiohttp.ClientSession() as client, client.ws_connect(
                f'{sink.server.address}ws', origin=origin) as made:
            return await Page(made).until(is_meta)

    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        asyncio.run(talk('http://evil.example'))
    assert refused.value.status == 403
    for path in ('api/animate', 'api/recording?name=a.csv'):
        assert get(sink, path, 'POST', data=b'x', headers={'Origin': 'http://evil'})[0] == 403
    assert asyncio.run(talk(sink.server.address.rstrip('/'))).stream == 'run'


@pytest.mark.parametrize(('header', 'fits'), [
    ('127.0.0.1:80', True), ('127.0.0.1', True), ('localhost:80', True), ('LOCALHOST', True),
    ('[::1]:80', True), ('[::1]', True), ('10.0.0.7:80', True), (socket.gethostname(), True),
    ('localhost:81', False), ('localhost.evil.example', False), ('a@localhost', False),
    ('', False), (':', False), (':80', False), ('evil.example:80', False), ('[', False),
])
def test_which_names_are_ours(header, fits):
    assert is_this_server(header, '127.0.0.1', 80) is fits


def test_a_request_without_an_origin_is_no_foreign_page():
    assert is_own_page(None, 'a:1')
    assert is_own_page('http://a:1', 'a:1')
    assert not is_own_page('http://a:2', 'a:1')


@pytest.mark.parametrize('path', [
    '/..%2f..%2fsetup.py', '/%2e%2e', '/..%5c..', '/' + 'a' * 3000, '/%00', '/web', '/.', '/..',
    '/index.html%00.js', '/README.md', '/../head.npz', '//etc/passwd', '/%2fetc%2fpasswd',
    '/web/app.js', 'http://127.0.0.1/../../setup.py', '/head.npz'])
def test_only_files_of_the_page_are_served(sink, connect, path):
    connection = connect(sink)
    connection.sendall(f'GET {path} HTTP/1.1\r\n'
                       f'Host: localhost:{sink.server.port}\r\n\r\n'.encode())
    assert connection.recv(4096).split()[1] in (b'400', b'404')


def test_the_page_and_its_head_come_with_their_types_and_headers(sink):
    for path, kind, start in (('', 'text/html', b'<!doctype html'),
                              ('app.js', 'text/javascript', b''), ('style.css', 'text/css', b''),
                              ('head.glb', 'model/gltf-binary', b'gltf')):
        status, headers, body = get(sink, path)
        assert (status, headers['Content-Type'].partition(';')[0]) == (200, kind)
        assert body.lower().startswith(start)
        assert {name: headers[name] for name in HEADERS} == HEADERS


@pytest.mark.parametrize(('path', 'method', 'status'), [
    ('nothing', 'GET', 404), ('ws', 'GET', 400), ('api/info', 'GET', 422), ('', 'PUT', 405),
    ('api/animate', 'GET', 405), ('a/b/c', 'GET', 404)])
def test_refusals_carry_the_same_headers(sink, path, method, status):
    answer = get(sink, path, method)
    assert answer[0] == status
    assert {name: answer[1][name] for name in HEADERS} == HEADERS
    assert 'Access-Control-Allow-Origin' not in answer[1]


def test_pages_beyond_the_limit_are_told_so(sink, monkeypatch):
    monkeypatch.setattr(web_server, 'MOST_PAGES', 2)

    async def talk():
        async with page(sink.server.address), page(sink.server.address):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                async with page(sink.server.address):
                    pass
            assert refused.value.status == 503
        async with page(sink.server.address) as again:
            return await again.until(is_meta)

    assert asyncio.run(talk()).stream == 'run'


def test_connections_beyond_the_limit_are_ended(sink, connect, monkeypatch):
    monkeypatch.setattr(web_server, 'MOST_CONNECTIONS', 3)
    held = [connect(sink) for _ in range(3)]
    time.sleep(0.1)
    assert connect(sink).recv(1) == b''
    for connection in held:
        connection.close()
    time.sleep(0.1)
    assert get(sink)[0] == 200


@pytest.mark.parametrize('start', [b'', b'GET / HTTP/1.1\r\nHost: 127', b'G'])
def test_who_never_finishes_a_request_is_hung_up_on(monkeypatch, connect, start):
    monkeypatch.setattr(web_server, 'REQUEST_TIME', 0.3)
    sink = WebSink(port=0)
    sink.open(INFO)
    connection = connect(sink)
    connection.sendall(start)
    assert hangs_up(connection)
    sink.close()


def test_a_taken_port_is_said_in_one_line(sink):
    port = sink.server.port
    with pytest.raises(SinkError, match=rf'127\.0\.0\.1:{port}.*--sink web=PORT') as refused:
        WebSink(port=port).open(INFO)
    assert '\n' not in str(refused.value)


@pytest.mark.parametrize('host', ['no.such.host.invalid', 'a' * 300, '203.0.113.9', 'é' * 70])
def test_an_impossible_host_is_said_in_one_line(host):
    with pytest.raises(SinkError, match='cannot serve on'):
        WebSink(host, 0).open(INFO)


def test_pages_hear_goodbye_and_the_sink_opens_again(sink):
    async def look():
        async with page(sink.server.address) as seen:
            await seen.until(is_meta)
            threading.Thread(target=sink.close).start()
            await seen.until(lambda heard: is_a(heard, 'bye'))
            return await seen.end()

    assert asyncio.run(look()) == aiohttp.WSCloseCode.GOING_AWAY
    sink.close()
    with pytest.raises(SinkError):
        sink.send(frame(0))
    sink.open(INFO._replace(stream='second'))

    async def look_again():
        async with page(sink.server.address) as seen:
            return await seen.until(is_meta)

    assert asyncio.run(look_again()).stream == 'second'


def test_no_thread_stays_behind():
    before = threading.active_count()
    sink = WebSink(port=0)
    sink.open(INFO)
    assert get(sink)[0] == 200
    sink.close()
    assert threading.active_count() == before


@pytest.mark.parametrize(('argument', 'place'), [
    ('', ('127.0.0.1', 5570)), ('5999', ('127.0.0.1', 5999)), ('0', ('127.0.0.1', 0)),
    ('0.0.0.0:80', ('0.0.0.0', 80)), ('[::1]:80', ('::1', 80)), (':81', ('127.0.0.1', 81))])
def test_addresses(argument, place):
    assert host_and_port(argument) == place


@pytest.mark.parametrize('argument', ['x', '70000', '1.2.3.4', '-1', '1:2:x', 'host:', '٣'])
def test_addresses_that_are_none(argument):
    with pytest.raises(UsageError, match='web=PORT'):
        host_and_port(argument)


def test_pages_of_others_that_may_use_the_server():
    argument = '8:80?origin=http://Localhost:5173&origin=https://a.example'
    assert host_and_port(argument) == ('8', 80)
    assert origins(argument) == ('http://localhost:5173', 'https://a.example')
    assert origins('80') == ()
    for wrong in ('?origin=*', '?origin=', '?origin=http://a/b', '?origins=http://a'):
        with pytest.raises(UsageError, match='origin=http'):
            origins(wrong)


def test_a_page_of_another_server_may_look_where_that_was_asked_for():
    sink = WebSink.from_argument('0?origin=http://localhost:5173')
    for _ in range(2):                              # as a pump opens it again
        sink.open(INFO)
        headers = {'Origin': 'http://localhost:5173'}
        assert get(sink, headers=headers)[0] == 200
        assert get(sink, headers={'Origin': 'http://localhost:5174'})[0] == 403
    sink.close()


def test_beyond_loopback_warns(caplog):
    with caplog.at_level(logging.WARNING):
        for host in ('127.0.0.1', '127.0.0.9', '::1', 'localhost'):
            warn_if_open(host)
        assert not caplog.records
        warn_if_open('0.0.0.0')
    assert 'other machines' in caplog.text
