# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

# Godot 3: loads a head, lets AvatarFace drive it, and writes what the engine then says of it, a
# line of JSON for every pose. Ends when nobody speaks any more and the face is at rest.
extends SceneTree

var _face
var _mesh
var _out = File.new()
var _rests = 0


func _init():
	Engine.target_fps = 60
	var head = load('res://head.glb').instance()
	get_root().add_child(head)
	_mesh = _with_shapes(head)
	_face = load('res://addons/avatar_bridge/avatar_face.gd').new()
	_face.port = int(OS.get_environment('PORT'))
	_face.head = NodePath('../' + str(head.get_path_to(_mesh)))
	head.add_child(_face)
	_out.open(OS.get_environment('OUT'), File.WRITE)
	_face.connect('posed', self, '_on_posed')
	print('listening, %d shapes' % _face.face.shapes.found.size())


func _on_posed(_weights, _angles):
	var shown = {}
	for property in _mesh.get_property_list():
		if property.name.begins_with('blend_shapes/'):
			shown[property.name.substr(13, 99)] = _mesh.get(property.name)
	var turned = _mesh.transform.basis.get_euler()
	_out.store_line(to_json({
		'moment': _face.face.moment, 'newest': _face.face.receiver.newest(),
		'alive': _face.face.alive, 'shown': shown,
		'heard': _face.face.receiver.heard, 'refused': _face.face.receiver.refused,
		'head': [turned.x, turned.y, turned.z]}))
	_rests = 0 if _face.face.alive else _rests + 1
	if _rests == 30:
		_out.close()
		quit()


func _with_shapes(node):
	if node is MeshInstance and node.get('blend_shapes/jawOpen') != null:
		return node
	for child in node.get_children():
		var found = _with_shapes(child)
		if found != null:
			return found
	return null
