# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Our 52 weights in the words of other rigs: pure functions of a pose."""
