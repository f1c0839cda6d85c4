# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

# Moves the blend shapes below `target` to speech: `avatar-bridge run --sink livelink`.
# For Godot 3: put this file in the place of the one of its name in the folder above.
extends Node
class_name AvatarFace

# Emitted after every pose: 52 weights in ARKit's order, 9 angles in radians.
signal posed(weights, angles)
# Emitted when somebody begins to speak to us, and a second after he stopped.
signal connection_changed(alive)

const Face = preload('face.gd')

# The node at or below which the meshes with ARKit's blend shapes are.
export(NodePath) var target = NodePath('..')
# UDP port; 11111 is Live Link's.
export(int, 1, 65535) var port = 11111
# Address to listen at: 127.0.0.1 for this machine alone, * for all networks.
export(String) var address = '127.0.0.1'
# Whose face this is, the option --avatar of avatar-bridge; empty: whoever sends first.
export(String) var subject = ''
# Seconds that frames are kept, so that they can be shown evenly.
export(float, 0.0, 0.5, 0.001) var delay = 0.033
# Multiplies every weight.
export(float, 0.0, 4.0, 0.01) var gain = 1.0
# A Spatial to turn with the head, if there is one.
export(NodePath) var head = NodePath('')
# Blend shapes that are called otherwise: {shape: ARKit name}.
export(Dictionary) var renamed = {}

var face = Face.new()

var _alive = false
var _head = null
var _head_at_rest = Basis()


func _enter_tree():
	if face.receiver.open(port, subject, address) != OK:
		push_error('AvatarFace: cannot listen at UDP port %d; is another program there?' % port)


func _ready():
	var root = get_node_or_null(target)
	if root == null or face.shapes.find(root, renamed) == 0:
		push_warning('AvatarFace: no blend shape with a name of ARKit at or below %s' % target)
	_head = get_node_or_null(head) as Spatial
	if _head != null:
		_head_at_rest = _head.transform.basis


func _process(_delta):
	if not face.step(OS.get_ticks_usec() / 1e6, delay, gain):
		return
	if _head != null:
		_head.transform.basis = _head_at_rest * face.head_basis()
	emit_signal('posed', face.weights, face.angles)
	if face.alive != _alive:
		_alive = face.alive
		emit_signal('connection_changed', _alive)


func _exit_tree():
	face.receiver.close()
