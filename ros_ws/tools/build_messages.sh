#!/bin/sh
# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

# build_messages.sh VENV PACKAGE wheels|sourced [PREFIX]
# Compiles a message package with the environment's ROS. It goes into the environment, where every
# program finds it without sourcing anything, or into PREFIX.
set -eu
venv=$1 package=$2 ros=$3 prefix=${4:-$1}
python=$venv/bin/python
build=$prefix/build/$(basename "$package")
PATH=$venv/bin:$PATH

needs() {
    echo "make: the ROS messages need $1; on Debian and Ubuntu: sudo apt install $2" >&2
    echo "make: or leave ROS 2 out: make ... ROS=none" >&2
    exit 1
}

c++ --version > /dev/null 2>&1 || needs 'a C++ compiler' g++
cmake --version > /dev/null 2>&1 || needs CMake cmake
include=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
[ -f "$include/Python.h" ] || needs "Python's headers" python3-dev

if [ "$ros" = wheels ]; then
    AMENT_PREFIX_PATH=$venv
    "$python" "$(dirname "$0")/wheel_paths.py"
fi
export PATH AMENT_PREFIX_PATH

mkdir -p "$build"
{
    cmake -S "$package" -B "$build" -DCMAKE_INSTALL_PREFIX="$prefix" \
        -DCMAKE_PREFIX_PATH="$(echo "$AMENT_PREFIX_PATH" | tr : ';')" \
        -DPython3_EXECUTABLE="$python" -DBUILD_TESTING=OFF -DCMAKE_BUILD_TYPE=Release &&
    cmake --build "$build" --parallel 2 &&
    cmake --install "$build"
} > "$build/log.txt" 2>&1 || {
    tail -n 20 "$build/log.txt" >&2
    echo "make: building $package failed; all of it: $build/log.txt" >&2
    exit 1
}
