# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Blender: a recording of a face becomes keys of shape keys.

As an add-on it is File > Import > Face recording; without a window it is
`blender HEAD.blend --background --python avatar_bridge_keys.py -- TAKE.csv --save OUT.blend`.
It needs nothing but Blender (3.1 and newer), and reads Live Link Face CSV, JSON lines and npz.
"""

import argparse
import csv
import json
from pathlib import Path
import sys
from typing import NamedTuple
import zipfile

try:
    import bpy
    from bpy_extras.io_utils import ImportHelper
except ImportError:             # the part above Blender can be used, and tested, without it
    bpy, ImportHelper = None, object

bl_info = {
    'name': 'avatar_bridge: face recordings', 'author': 'The avatar_bridge authors',
    'version': (1, 0, 0), 'blender': (3, 1, 0), 'location': 'File > Import > Face recording',
    'description': 'Keys of shape keys from Live Link Face CSV, JSON lines or npz',
    'category': 'Import-Export',
}

BASES = (24, 25, 30, 48, 50, 60)        # frames that a time code may count in a second
DAY = 86400
BROKEN = (EOFError, ImportError, LookupError, TypeError, ValueError, zipfile.BadZipFile)


class Recording(NamedTuple):
    """Curves over time."""

    times: list             # seconds, from 0
    shapes: dict            # name without case and side marks -> a value for each time


def read(path):
    """Return the recording in a file; raises ValueError for what is none."""
    path = Path(path)
    readers = {'.csv': read_csv, '.jsonl': read_json_lines, '.npz': read_npz}
    if path.suffix.lower() not in readers:
        raise ValueError(f'{path.name}: expected a file that ends in {", ".join(readers)}')
    try:
        found = readers[path.suffix.lower()](path)
    except BROKEN as error:
        raise ValueError(f'{path.name} is no recording of a face ({error})') from error
    if not found.times:
        raise ValueError(f'{path.name} holds no frames')
    return found


def read_csv(path):
    """Read a Live Link Face CSV; a row without values repeats the one before."""
    with path.open(newline='', encoding='utf-8-sig') as file:
        header, *rows = [row for row in csv.reader(file) if row]
    rows = [row for row in rows if len(row) == len(header)]     # the last may be cut
    columns = list(zip(*rows, strict=True)) or [()] * len(header)
    times = seconds(columns[header.index('Timecode')])
    shapes = {}
    for title, column in zip(header, columns, strict=True):
        if title not in ('Timecode', 'BlendShapeCount'):
            curve, last = [], 0.0
            for cell in column:
                last = float(cell) if cell else last
                curve.append(last)
            shapes[plain(title)] = curve
    return Recording(times, shapes)


def seconds(timecodes):
    """Return HH:MM:SS:FF.fff as seconds after the first."""
    clocks = [tuple(map(float, code.split(':'))) for code in timecodes]
    most = max((clock[3] for clock in clocks), default=0)
    base = next((base for base in BASES if base > most), BASES[-1])
    times = [3600 * hour + 60 * minute + second + frame / base
             for hour, minute, second, frame in clocks]
    return [(time - times[0]) % DAY for time in times]


def read_json_lines(path):
    """Read avatar_bridge's JSON lines."""
    lines = path.read_text(encoding='utf-8').splitlines()
    names = json.loads(lines[0])['names']
    frames = []
    for line in lines[1:]:
        try:
            frames.append(json.loads(line))
        except ValueError:
            break                       # cut short
    curves = zip(*(frame['weights'] for frame in frames), strict=True)
    return Recording([frame['t'] - frames[0]['t'] for frame in frames],
                     {plain(name): list(curve) for name, curve in
                      zip(names if frames else (), curves, strict=True)})


def read_npz(path):
    """Read avatar_bridge's npz."""
    import numpy as np

    with np.load(path, allow_pickle=False) as arrays:
        times = (arrays['t'] - arrays['t'][:1]).tolist()
        return Recording(times, {plain(name): curve.tolist() for name, curve in
                                 zip(arrays['names'].tolist(), arrays['weights'].T,
                                     strict=True)})


def plain(name):
    """Return a name so that mouthSmileLeft, MouthSmileLeft and mouthSmile_L are the same."""
    name = name.rpartition('.')[2]
    for side, letter in (('left', 'l'), ('right', 'r')):
        if name.lower().endswith(f'_{letter}'):
            name = name[:-2] + side
    return name.lower()


def keyed(mesh, recording, name, start):
    """
    Key the shapes of a mesh from frame `start` on, in an action of its own; return how many.

    What moved the mesh before stays in its own action.
    """
    keys = mesh.data.shape_keys
    blocks = [block for block in keys.key_blocks[1:] if plain(block.name) in recording.shapes]
    if not blocks:
        return 0
    animation = keys.animation_data or keys.animation_data_create()
    animation.action = bpy.data.actions.new(f'{name} {mesh.name}')
    frames = [start + time * rate() for time in recording.times]
    straight = bpy.types.Keyframe.bl_rna.properties['interpolation'].enum_items['LINEAR'].value
    for block in blocks:
        curve = curve_of(keys, f'key_blocks["{bpy.utils.escape_identifier(block.name)}"].value')
        values = recording.shapes[plain(block.name)]
        curve.keyframe_points.add(len(frames))
        curve.keyframe_points.foreach_set(
            'co', [number for pair in zip(frames, values, strict=True) for number in pair])
        curve.keyframe_points.foreach_set('interpolation', [straight] * len(frames))
        curve.update()
    return len(blocks)


def curve_of(keys, path):
    """Return a new curve of the action of `keys`; actions have slots from Blender 4.4 on."""
    action = keys.animation_data.action
    if hasattr(action, 'fcurve_ensure_for_datablock'):
        return action.fcurve_ensure_for_datablock(keys, path)
    return action.fcurves.new(path)


def rate():
    """Return the scene's frames per second."""
    render = bpy.context.scene.render
    return render.fps / render.fps_base


def bring_in(path, objects, start):
    """Key a recording onto those of `objects` that have its shapes; return how many meshes."""
    recording = read(path)
    meshes = [item for item in objects if item.type == 'MESH' and item.data.shape_keys]
    moved = sum(bool(keyed(mesh, recording, Path(path).stem, start)) for mesh in meshes)
    if not moved:
        raise ValueError('no mesh here has shape keys with ARKit names (jawOpen, '
                         'mouthSmileLeft or mouthSmile_L, ...)')
    scene = bpy.context.scene
    scene.frame_end = max(scene.frame_end, int(start + recording.times[-1] * rate()) + 1)
    return moved


def main(words):
    """Key a recording and save the file; return the exit status."""
    parser = argparse.ArgumentParser(prog='avatar_bridge_keys', description=__doc__)
    parser.add_argument('recording')
    parser.add_argument('--object', help='the mesh (default: every mesh that has the shapes)')
    parser.add_argument('--start', type=float, default=1.0, help='frame (default: 1)')
    parser.add_argument('--save', help='the .blend to write (default: the one that is open)')
    options = parser.parse_args(words)
    objects = bpy.data.objects
    if options.object and options.object not in objects:
        parser.error(f'there is no object {options.object}; there are '
                     f'{", ".join(item.name for item in objects if item.type == "MESH")}')
    try:
        moved = bring_in(options.recording, [objects[options.object]] if options.object
                         else objects, options.start)
        bpy.ops.wm.save_as_mainfile(filepath=options.save or bpy.data.filepath)
    except (OSError, RuntimeError, ValueError) as error:
        print(f'avatar_bridge_keys: {error}', file=sys.stderr)
        return 1
    print(f'keys on {moved} meshes')
    return 0


if bpy is not None:
    class ImportFaceRecording(bpy.types.Operator, ImportHelper):
        """Key the shape keys of the selected meshes, or of all where none is selected."""

        bl_idname = 'import_anim.face_recording'
        bl_label = 'Import face recording'
        bl_options = {'REGISTER', 'UNDO'}       # noqa: RUF012 - Blender's own way
        filter_glob: bpy.props.StringProperty(default='*.csv;*.jsonl;*.npz', options={'HIDDEN'})

        def execute(self, context):
            """Do it, and say how it went."""
            chosen = [item for item in context.selected_objects if item.type == 'MESH']
            try:
                moved = bring_in(self.filepath, chosen or bpy.data.objects,
                                 context.scene.frame_start)
            except (OSError, ValueError) as error:
                self.report({'ERROR'}, str(error))
                return {'CANCELLED'}
            self.report({'INFO'}, f'keys on {moved} meshes')
            return {'FINISHED'}

    def _entry(menu, context):      # noqa: ARG001 - Blender calls it so
        menu.layout.operator(ImportFaceRecording.bl_idname, text='Face recording (.csv, .jsonl)')

    def register():
        """Add the entry of the menu."""
        bpy.utils.register_class(ImportFaceRecording)
        bpy.types.TOPBAR_MT_file_import.append(_entry)

    def unregister():
        """Take it away."""
        bpy.types.TOPBAR_MT_file_import.remove(_entry)
        bpy.utils.unregister_class(ImportFaceRecording)


if __name__ == '__main__':
    if '--' in sys.argv:
        status = main(sys.argv[sys.argv.index('--') + 1:])
        if status:
            sys.exit(status)
    else:
        register()
