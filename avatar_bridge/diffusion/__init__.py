# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0
"""The sampler and the model that uses it."""
