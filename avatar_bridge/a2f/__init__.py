# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The Audio2Face-3D service: what speaks to clients of NVIDIA's container over gRPC."""
