#!/bin/sh
# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

# build_messages.sh PREFIX PACKAGE wheels|sourced
# Compiles a message package with CMake and installs it into the environment PREFIX, where any
# program of that environment finds it without sourcing anything.
set -eu
prefix=$1 package=$2 ros=$3
python=$prefix/bin/python
build=$prefix/build/$(basename "$package")
PATH=$prefix/bin:$PATH

needs() {
    echo "make: the ROS messages need $1; on Debian and Ubuntu: sudo apt install $2" >&2
    echo "make: or leave ROS 2 out: make ... ROS=none" >&2
    exit 1
}

c++ --version >/dev/null 2>&1 || needs 'a C++ compiler' g++
include=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
[ -f "$include/Python.h" ] || needs "Python's headers" python3-dev

if [ "$ros" = wheels ]; then
    AMENT_PREFIX_PATH=$prefix
    CMAKE_PREFIX_PATH=$prefix
    "$python" "$(dirname "$0")/wheel_paths.py"
else
    CMAKE_PREFIX_PATH=$AMENT_PREFIX_PATH
    CMAKE_PREFIX_PATH=$(echo "$CMAKE_PREFIX_PATH" | tr : ';')
fi
export PATH AMENT_PREFIX_PATH

mkdir -p "$build"
{
    cmake -S "$package" -B "$build" -DCMAKE_INSTALL_PREFIX="$prefix" \
        -DCMAKE_PREFIX_PATH="$CMAKE_PREFIX_PATH" -DPython3_EXECUTABLE="$python" \
        -DBUILD_TESTING=OFF -DCMAKE_BUILD_TYPE=Release &&
    cmake --build "$build" --parallel 2 &&
    cmake --install "$build"
} > "$build/log.txt" 2>&1 || {
    tail -n 20 "$build/log.txt" >&2
    echo "make: building $(basename "$package") failed; all of it: $build/log.txt" >&2
    exit 1
}
