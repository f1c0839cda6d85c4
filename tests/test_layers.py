# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0
"""The house keeps its shape: arrows downward, one home for each package, cheap import."""

import ast
from pathlib import Path
import subprocess
import sys

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / 'avatar_bridge'
FILES = sorted(PACKAGE.rglob('*.py'))

#: The longest prefix that fits counts; a module that fits none has no place in the house yet.
LAYERS = {
    'errors': 1, 'rig': 1, 'timeline': 1, 'frames': 1, 'ports': 1,
    'audio': 2, 'diffusion': 2, 'wire': 2, 'clock': 2, 'config': 2,
    'message_definitions': 2, 'head': 2, 'gltf': 2, 'mesh': 2, 'pictures': 2, 'shading': 2,
    'phones': 2, 'programs': 2, 'tape': 2, 'manifest': 3, 'protocols': 2, 'mappings': 2,
    'stream': 3, 'onnx_models': 3, 'torch_models': 3, 'portrait': 3, 'formats': 3,
    'codebook_model': 3,
    'sources': 4, 'sinks': 4, 'pump': 4,
    'session': 5, 'governor': 5, 'schedule': 5, 'animator': 5, 'presenter': 5, 'outlets': 5,
    'bundle': 5, 'lane': 5, 'desk': 5, 'play': 5,
    'compose': 6,
    'cli': 7, 'stage': 7, 'display': 7, 'bench': 7, 'doctor': 7, 'demo': 7, 'inspection': 7,
    'subscriber': 7, 'ros': 7, 'a2f': 7, '__main__': 8,
}

#: Package -> the only places that may import it; numpy may be everywhere.
HOMES = {
    'onnxruntime': {'onnx_models'},
    'torch': {'torch_models'},
    'scipy': {'audio.resample'},
    'soundfile': {'sources.file'},
    'sounddevice': {'sources.devices'},
    'msgpack': {'wire'},
    'zmq': {'sinks.zeromq', 'subscriber'},
    'rosbags': {'sources.recording'},
    'tqdm': {'display'},
    'aiohttp': {'sinks.web_server', 'sinks.vts_plugin'},
    'matplotlib': {'demo'},
    'moderngl': {'portrait'},
    'PIL': {'pictures'},
    'av': {'sinks.film'},
    'tomli': {'config'},
    'yaml': {'ros.joints'},
    'grpc': {'a2f.server'},
    'google': {'a2f.messages'},
    'nvidia_ace': {'a2f.messages'},
    'nvidia_audio2face_3d': {'a2f.messages'},
    'time': {'clock'},
}
ROS = {'rclpy', 'avatar_bridge_msgs', 'audio_common_msgs', 'std_msgs', 'std_srvs',
       'diagnostic_msgs', 'lifecycle_msgs', 'builtin_interfaces', 'rcl_interfaces',
       'rosidl_runtime_py', 'ament_index_python'}


def name_of(path):
    """Return the module's name inside the package; a folder's __init__ is the folder."""
    return '.'.join(path.relative_to(PACKAGE).with_suffix('').parts).removesuffix('.__init__')


def imports(path):
    """Return the modules that a file imports, anywhere in it, except for typing only."""
    tree = ast.parse(path.read_text(encoding='utf-8'))
    typing_only = {id(inner) for node in ast.walk(tree) if isinstance(node, ast.If)
                   and ast.unparse(node.test) == 'TYPE_CHECKING' for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path}: relative import'
            if node.module == 'avatar_bridge':
                yield from (f'avatar_bridge.{alias.name}' for alias in node.names)
            else:
                yield node.module


def layer_of(module):
    return LAYERS[module.partition('.')[0]]


def ids(path):
    return name_of(path)


@pytest.mark.parametrize('path', [path for path in FILES if path != PACKAGE / '__init__.py'],
                         ids=ids)
def test_arrows_point_downward(path):
    module = name_of(path)
    for found in imports(path):
        target = found.removeprefix('avatar_bridge.')
        if target != found and target not in ('__version__', 'load_bundle', 'Engine', 'Session'):
            folder = module.partition('.')[0]
            sideways = target.partition('.')[0] == folder or layer_of(module) in (1, 5, 7)
            assert layer_of(target) < layer_of(module) + sideways, f'{module} imports {target}'


@pytest.mark.parametrize('path', FILES, ids=ids)
def test_every_package_has_one_home(path):
    module = name_of(path)
    for found in imports(path):
        package = found.partition('.')[0]
        if package in ROS:
            assert module.startswith('ros.'), f'{module} imports {package}'
        elif package in HOMES:
            assert module in HOMES[package], f'{module} imports {package}'
        else:
            assert package in {'avatar_bridge', 'numpy', *sys.stdlib_module_names}, package


@pytest.mark.parametrize('path', FILES, ids=ids)
def test_files_are_short_enough_to_read(path):
    assert len(path.read_text(encoding='utf-8').splitlines()) <= 400


def run(code):
    return subprocess.run([sys.executable, '-W', 'ignore', '-c', code], capture_output=True,
                          text=True, check=True, timeout=60).stdout


@pytest.mark.parametrize('module', ['avatar_bridge', 'avatar_bridge.session', 'avatar_bridge.cli'])
def test_importing_is_cheap_and_starts_nothing(module):
    heavy = ('torch', 'onnxruntime', 'scipy', 'zmq', 'sounddevice', 'rclpy', 'rosbags')
    output = run(f'import sys, threading, {module}\n'
                 f'print([name for name in {heavy} if name in sys.modules])\n'
                 'print(threading.active_count())\n')
    assert output.split('\n')[:2] == ['[]', '1']


def test_public_names_are_there_and_listed():
    output = run('import avatar_bridge as ab\n'
                 'print(all(getattr(ab, name) for name in ab.__all__), hasattr(ab, "Egine"))')
    assert output.split() == ['True', 'False']


def test_the_program_does_not_import_its_research():
    for path in FILES:
        assert not any(found.partition('.')[0] == 'model' for found in imports(path))
