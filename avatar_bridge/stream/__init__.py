# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0
"""From samples to gapless frames, without a thread, a clock or I/O."""
