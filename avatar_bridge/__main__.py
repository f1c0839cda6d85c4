# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""`python -m avatar_bridge` is the command `avatar-bridge`."""

import sys

from avatar_bridge.cli import main

if __name__ == '__main__':
    sys.exit(main())
