# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The research library: networks, teacher, training, export. Not installed; needs torch."""
