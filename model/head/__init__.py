# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The head: cut out of the CC0 MakeHuman mesh, shaped, painted, baked into 52 morph targets."""
