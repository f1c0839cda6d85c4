# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

# Packets of Live Link Face, version 6, as `avatar-bridge run --sink livelink` sends them.
# Written so that Godot 3 and Godot 4 both take it: no types, no annotations.

const VERSION = 6
const ANGLES = 9
const LONGEST = 255             # bytes of a text

# The weights in the order of the packet. Left and right are the face's own.
const NAMES = [
	'eyeBlinkLeft', 'eyeLookDownLeft', 'eyeLookInLeft', 'eyeLookOutLeft', 'eyeLookUpLeft',
	'eyeSquintLeft', 'eyeWideLeft',
	'eyeBlinkRight', 'eyeLookDownRight', 'eyeLookInRight', 'eyeLookOutRight', 'eyeLookUpRight',
	'eyeSquintRight', 'eyeWideRight',
	'jawForward', 'jawLeft', 'jawRight', 'jawOpen',
	'mouthClose', 'mouthFunnel', 'mouthPucker', 'mouthLeft', 'mouthRight',
	'mouthSmileLeft', 'mouthSmileRight', 'mouthFrownLeft', 'mouthFrownRight',
	'mouthDimpleLeft', 'mouthDimpleRight', 'mouthStretchLeft', 'mouthStretchRight',
	'mouthRollLower', 'mouthRollUpper', 'mouthShrugLower', 'mouthShrugUpper',
	'mouthPressLeft', 'mouthPressRight', 'mouthLowerDownLeft', 'mouthLowerDownRight',
	'mouthUpperUpLeft', 'mouthUpperUpRight',
	'browDownLeft', 'browDownRight', 'browInnerUp', 'browOuterUpLeft', 'browOuterUpRight',
	'cheekPuff', 'cheekSquintLeft', 'cheekSquintRight', 'noseSneerLeft', 'noseSneerRight',
	'tongueOut',
]


# Returns what a datagram says: subject, number (of the frame), time (s), weights (52, 0 to 1) and
# angles (9, radians: head yaw, pitch, roll, left eye, right eye); null where it is no face.
static func read(bytes):
	var stream = StreamPeerBuffer.new()
	stream.big_endian = true
	stream.data_array = bytes
	if _left(stream) < 1 or stream.get_u8() != VERSION:
		return null
	var device = _text(stream)
	var subject = _text(stream)
	if device == null or subject == null:
		return null
	if _left(stream) != 17 + 4 * (NAMES.size() + ANGLES):
		return null
	var number = stream.get_32()
	var part = stream.get_float()
	var numerator = stream.get_32()
	var denominator = stream.get_32()
	if numerator <= 0 or denominator <= 0 or stream.get_u8() != NAMES.size() + ANGLES:
		return null
	var weights = []
	for _index in range(NAMES.size()):
		weights.append(clamp(_number(stream), 0.0, 1.0))
	var angles = []
	for _index in range(ANGLES):
		angles.append(_number(stream))
	if is_nan(part) or is_inf(part):
		part = 0.0
	return {
		'device': device, 'subject': subject, 'number': number,
		'time': (number + part) * denominator / numerator,
		'weights': weights, 'angles': angles,
	}


static func _left(stream):
	return stream.get_size() - stream.get_position()


static func _text(stream):
	if _left(stream) < 4:
		return null
	var length = stream.get_32()
	if length < 0 or length > LONGEST or length > _left(stream):
		return null
	return stream.get_utf8_string(length) if length > 0 else ''


static func _number(stream):
	var value = stream.get_float()
	return 0.0 if is_nan(value) or is_inf(value) else value
