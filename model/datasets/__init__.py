# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Loaders of published data sets and of own recordings: each yields `Recording`s."""
