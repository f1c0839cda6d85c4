# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Animation files of other programs: pure functions from whole takes to bytes."""
