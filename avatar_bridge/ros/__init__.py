# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0
"""The ROS 2 node; no other folder imports rclpy."""
