# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Open Sound Control 1.0: messages and bundles.

Everything is big-endian and a multiple of four bytes long; texts end with NUL.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
import struct
from typing import Final

#: Starts every bundle: its contents are due immediately.
BUNDLE: Final = b'#bundle\0' + struct.pack('>Q', 1)
LARGEST: Final = 1400               # bytes of a bundle that crosses every network in one piece


def message(address: str, *arguments: str | float | bool) -> bytes:
    """Return a message; numbers become int32 or float32, and truths are tags without data."""
    tags, data = ',', b''
    for argument in arguments:
        if isinstance(argument, str):
            tags, data = tags + 's', data + text(argument)
        elif isinstance(argument, bool):
            tags += 'T' if argument else 'F'
        elif isinstance(argument, int):
            tags, data = tags + 'i', data + struct.pack('>i', argument)
        else:
            tags, data = tags + 'f', data + struct.pack('>f', argument)
    return text(address) + text(tags) + data


def bundles(messages: Iterable[bytes], largest: int = LARGEST) -> list[bytes]:
    """Return bundles of at most `largest` bytes that hold all messages in their order."""
    made = [BUNDLE]
    for content in messages:
        element = struct.pack('>i', len(content)) + content
        if len(made[-1]) > len(BUNDLE) and len(made[-1]) + len(element) > largest:
            made.append(BUNDLE)
        made[-1] += element
    return [bundle for bundle in made if bundle != BUNDLE]


@lru_cache(maxsize=4096)            # the same few hundred names, frame after frame
def text(value: str) -> bytes:
    """Return a text, ended by NUL and padded to four bytes."""
    coded = value.encode()
    return coded + bytes(4 - len(coded) % 4)
