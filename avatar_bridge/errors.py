# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""What can go wrong, as types; a message says what was expected, what was found, what to do."""


class AvatarBridgeError(Exception):
    """Something that the user can understand and mend; shown as one line."""


class UsageError(AvatarBridgeError):
    """A wrong option, key, parameter or value (exit status 2)."""


class AudioError(AvatarBridgeError):
    """Audio that cannot be read, or a device that cannot be opened."""


class BundleError(AvatarBridgeError):
    """A bundle that is missing, corrupt, foreign or does not fit."""


class SinkError(AvatarBridgeError):
    """A sink that cannot be opened or written to."""


class MissingPackageError(AvatarBridgeError):
    """An optional package or system library that is not installed."""


class HeadError(AvatarBridgeError):
    """A head that is missing, or that cannot be read or drawn."""
