# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

# The blend shapes below a node that have ARKit's names, whatever their spelling: jawOpen, JawOpen,
# eyeBlink_L, blendShape1.jawOpen. Written so that Godot 3 and Godot 4 both take it.

const LiveLink = preload('live_link.gd')
const PROPERTY = 'blend_shapes/'

var found = {}                  # ARKit name -> how many shapes have it

var _shapes = []                # [mesh instance, property, index of the weight]


# Looks for shapes at `root` and everywhere below; `renamed` says what it calls them otherwise:
# {shape: ARKit name}.
func find(root, renamed):
	_shapes = []
	found = {}
	_search(root, renamed)
	return _shapes.size()


# Sets every shape to its weight times `gain`.
func apply(weights, gain):
	for shape in _shapes:
		if is_instance_valid(shape[0]):
			shape[0].set(shape[1], clamp(weights[shape[2]] * gain, 0.0, 1.0))


# Returns the index of the ARKit name that a shape's name means, -1 where it means none.
static func index_of(name):
	var plain = _plain(name)
	for index in range(LiveLink.NAMES.size()):
		if plain == LiveLink.NAMES[index].to_lower():
			return index
	for index in range(LiveLink.NAMES.size()):
		if plain.ends_with(LiveLink.NAMES[index].to_lower()):
			return index
	return -1


func _search(node, renamed):
	for property in node.get_property_list():
		if property.name.begins_with(PROPERTY):
			var name = property.name.substr(PROPERTY.length(), property.name.length())
			var index = index_of(renamed.get(name, name))
			if index >= 0:
				_shapes.append([node, property.name, index])
				found[LiveLink.NAMES[index]] = found.get(LiveLink.NAMES[index], 0) + 1
	for child in node.get_children():
		_search(child, renamed)


static func _plain(name):
	var plain = name.to_lower()
	if plain.ends_with('_l'):
		plain = plain.substr(0, plain.length() - 2) + 'left'
	elif plain.ends_with('_r'):
		plain = plain.substr(0, plain.length() - 2) + 'right'
	for mark in ['_', '-', '.', ':', ' ']:
		plain = plain.replace(mark, '')
	return plain
