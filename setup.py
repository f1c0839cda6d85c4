# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Packaging for pip and for colcon (ament_python); the version stands in package.xml alone."""

from glob import glob
from xml.etree import ElementTree

from setuptools import find_packages, setup

NAME = 'avatar_bridge'
MANIFEST = ElementTree.parse('package.xml').getroot()

RUN = [
    'numpy>=1.26', 'onnxruntime>=1.20', 'scipy>=1.11', 'soundfile>=0.12', 'sounddevice>=0.4.6',
    'msgpack>=1', 'pyzmq>=25', 'aiohttp>=3.10', 'rosbags>=0.10.4', 'tqdm>=4.64',
    'matplotlib>=3.8',
    "tomli>=2; python_version < '3.11'",
]
#: Pictures and films of the head, drawn without a display.
FILM = ['moderngl>=5.10', 'av>=12', 'pillow>=10']
#: NVIDIA's stubs for the Audio2Face-3D service; nvidia-ace 1.0.0 wants no newer grpcio.
A2F = ['grpcio>=1.67,<=1.67.1', 'nvidia-ace==1.0.0', 'nvidia-audio2face-3d==1.3.0']
#: The other backend: on a GPU.
TORCH = ['torch>=2.6']
#: Training; encoders of others come through transformers, whose last for Python 3.10 wants other
#: versions of what we have pinned.
TRAIN = [
    *TORCH, 'onnx>=1.17', 'pygltflib>=1.16', 'pyworld-prebuilt>=0.3.6', 'tensorboard>=2.18,<2.21',
    "transformers>=5.20; python_version >= '3.11'",
]
#: Converting a corpus on a cluster; not needed on one machine.
RAY = ['ray[data]>=2.50']
#: Aligning recorded prompts, and a peer to look at.
JUDGE = ['pocketsphinx==5.1.1', 'hama==1.7.0', 'openfacefx>=0.20']
TEST = [
    'pytest>=8', 'pytest-rerunfailures>=14', 'pytest-timeout>=2.3', 'pytest-xdist>=3.5',
    'hypothesis>=6.100', 'mypy>=1.11', 'ruff>=0.8', 'psutil>=5.9', 'playwright>=1.45',
    'pygltflib>=1.16', 'python-osc>=1.9', 'PyYAML>=6', 'soxr>=0.5', 'websockets>=13',
    'usd-core>=26.8', 'openfacefx>=0.20', *A2F,
]
#: A real rclpy and DDS from PyPI, for a machine where no ROS 2 is sourced.
ROS = [f'ros-kilted-{name}' for name in (
    'rclpy', 'rmw-fastrtps-cpp', 'std-msgs', 'std-srvs', 'diagnostic-msgs', 'lifecycle-msgs',
    'sensor-msgs', 'trajectory-msgs',
)]
#: What building our messages against those takes on top.
ROS_BUILD = [
    'catkin-pkg', 'cmake', *(f'ros-kilted-{name}' for name in (
        'ament-package', 'ament-cmake', 'ament-cmake-include-directories', 'ament-cmake-ros-core',
        'rosidl-core-generators', 'rosidl-default-generators',
    )),
]

setup(
    name=NAME,
    version=MANIFEST.findtext('version'),
    description=MANIFEST.findtext('description'),
    author=MANIFEST.findtext('author'),
    author_email=MANIFEST.find('maintainer').get('email'),
    maintainer=MANIFEST.findtext('maintainer'),
    maintainer_email=MANIFEST.find('maintainer').get('email'),
    license='Apache-2.0',
    python_requires='>=3.10',
    packages=find_packages(include=[NAME, f'{NAME}.*']),
    package_data={NAME: ['assets/*', 'assets/web/*', 'bundles/*/*', 'py.typed']},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{NAME}']),
        (f'share/{NAME}', ['package.xml']),
        (f'share/{NAME}/launch', sorted(glob('launch/*.launch.py'))),
        (f'share/{NAME}/config', sorted(glob('config/*.yaml'))),
    ],
    install_requires=RUN,
    extras_require={
        'film': FILM, 'a2f': A2F, 'torch': TORCH, 'train': TRAIN, 'ray': RAY, 'judge': JUDGE,
        'test': TEST, 'ros': ROS, 'ros-build': ROS_BUILD,
    },
    zip_safe=False,
    entry_points={'console_scripts': [
        'avatar-bridge = avatar_bridge.cli:main',
        'avatar_node = avatar_bridge.ros.node:main',
    ]},
)
