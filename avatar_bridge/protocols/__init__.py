# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""What frames look like to other programs: pure functions from poses to bytes, no sockets."""
