# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

# A face that follows what avatar_bridge sends: receiver and shapes, and what happens in between.
# Written so that Godot 3 and Godot 4 both take it; the node AvatarFace is its inspector.

const Receiver = preload('receiver.gd')
const Shapes = preload('shapes.gd')

const PATIENCE = 1.0            # s of silence after which the face goes to rest
const REST = 0.3                # s that it takes to get there

var receiver = Receiver.new()
var shapes = Shapes.new()
var weights = []                # (52,) that the shapes show, before the gain
var angles = []                 # (9,) radians
var moment = 0.0                # s on the stream's clock that is shown
var alive = false               # whether somebody speaks to us

var _before = -1.0
var _share = 0.0                # 1: the pose as it came, 0: at rest


# Shows what is true at `now` (s, of any steady clock); returns whether there is anything to show.
func step(now, delay, gain):
	var delta = max(now - _before, 0.0) if _before >= 0.0 else 0.0
	_before = now
	receiver.poll(now, delta)
	moment = receiver.time(now, delay)
	var pose = receiver.pose(moment)
	if pose == null:
		return false
	alive = receiver.silence < PATIENCE
	_share = 1.0 if alive else max(_share - delta / REST, 0.0)
	weights = _scaled(pose[0], _share)
	angles = _scaled(pose[1], _share)
	shapes.apply(weights, gain)
	return true


# How the head is turned, for a face that looks along +Z, as glTF has it. Live Link has yaw to the
# right and pitch down.
func head_basis():
	if angles.size() == 0:
		return Basis()
	return (Basis(Vector3.UP, -angles[0]) * Basis(Vector3.RIGHT, angles[1])
			* Basis(Vector3.BACK, -angles[2]))


static func _scaled(values, share):
	if share == 1.0:
		return values
	var scaled = []
	for value in values:
		scaled.append(value * share)
	return scaled
