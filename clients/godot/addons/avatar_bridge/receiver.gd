# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

# Hears Live Link Face packets and gives the pose of any moment: frames are shown by their own
# time, a little later than the quickest of them arrived, so that the network's jitter does not
# show. Written so that Godot 3 and Godot 4 both take it.

const LiveLink = preload('live_link.gd')

const KEPT = 64                 # frames
const RESTART = 60              # frames back or ahead that mean another stream, not a late packet
const DRIFT = 0.002             # s of each second that the two clocks may run apart

var heard = 0                   # packets of our subject that were shown or will be
var refused = 0                 # datagrams that were no face, or one frame for the second time
var subject = ''                # whom we hear; empty until somebody speaks
var silence = 0.0               # s since the last packet

var _socket = PacketPeerUDP.new()
var _wanted = ''
var _frames = []                # in the order of their time
var _offset = 0.0               # our time minus the stream's, of the quickest packet


# Listens at a UDP port; `wanted` is the subject to hear, empty: whoever speaks first. Returns an
# error code (OK: 0). Godot 3 calls listening `listen`, Godot 4 `bind`.
func open(port, wanted, address):
	close()
	_wanted = wanted
	return _socket.call('bind' if _socket.has_method('bind') else 'listen', port, address)


func close():
	_socket.close()
	_frames = []
	subject = ''


# Takes what has come until `now` (s); `delta` is the time since the last call.
func poll(now, delta):
	silence += delta
	_offset += DRIFT * delta
	while _socket.get_available_packet_count() > 0:
		var frame = LiveLink.read(_socket.get_packet())
		if frame == null or not _is_wanted(frame.subject) or not _keep(frame, now):
			refused += 1
		else:
			heard += 1
			silence = 0.0


# The stream's time at `now`, `delay` seconds behind the quickest packet.
func time(now, delay):
	return now - _offset - delay


# The time of the newest frame that has come, s on the stream's clock; whoever asks for the pose of
# a later moment gets that frame. -1 before the first one.
func newest():
	return _frames[_frames.size() - 1].time if _frames.size() > 0 else -1.0


# The pose of a moment on the stream's clock: [weights, angles], or null.
func pose(moment):
	if _frames.size() == 0:
		return null
	var after = _frames.size() - 1
	if moment >= _frames[after].time:
		return [_frames[after].weights, _frames[after].angles]
	while after > 0 and _frames[after - 1].time > moment:
		after -= 1
	if after == 0:
		return [_frames[0].weights, _frames[0].angles]
	var first = _frames[after - 1]
	var second = _frames[after]
	var share = (moment - first.time) / (second.time - first.time)
	return [_mixed(first.weights, second.weights, share),
			_mixed(first.angles, second.angles, share)]


func _is_wanted(name):
	if _wanted == '' and (subject == '' or silence > 1.0):
		subject = name
	elif _wanted == name:
		subject = name
	return name == subject


# Puts a frame into its place in time; false where it is there already or much too old.
func _keep(frame, now):
	if _frames.size() > 0:
		var apart = abs(frame.number - _frames[_frames.size() - 1].number)
		if apart > RESTART or silence > 1.0:
			_frames = []
	if _frames.size() == 0:
		_offset = now - frame.time
	_offset = min(_offset, now - frame.time)
	var place = _frames.size()
	while place > 0 and _frames[place - 1].number > frame.number:
		place -= 1
	if place > 0 and _frames[place - 1].number == frame.number:
		return false
	_frames.insert(place, frame)
	while _frames.size() > KEPT:
		_frames.pop_front()
	return true


static func _mixed(first, second, share):
	var mixed = []
	for index in range(first.size()):
		mixed.append(first[index] + (second[index] - first[index]) * share)
	return mixed
