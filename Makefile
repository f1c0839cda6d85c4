# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

# Everything is installed into $(VENV), nothing outside it; no root, no display, no GPU.
# A stamp file there says what is done, so that a second run installs nothing.

VENV   ?= .venv
PYTHON ?= python3
TESTS  ?=

comma  := ,
prefix := $(abspath $(VENV))
python := $(prefix)/bin/python
msgs   := ros_ws/src/avatar_bridge_msgs

# Another environment's ROS wheels leave their library path to the programs they start.
ifdef _ROS_WHEELS_BOOTSTRAP_COMPLETE
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE LD_LIBRARY_PATH
endif

# Which ROS 2: the sourced one, the wheels from PyPI (Linux on x86-64), or none. ROS=none leaves
# it out.
ifndef ROS
ifneq ($(and $(ROS_DISTRO),$(AMENT_PREFIX_PATH)),)
ROS := $(shell $(PYTHON) -c 'import rclpy; print("sourced")' 2>&1 | tail -n 1)
endif
ifneq ($(ROS),sourced)
ROS := $(shell $(PYTHON) -c 'import platform as p, sys; print("wheels" \
	if (3, 10) <= sys.version_info[:2] <= (3, 13) \
	and (p.system(), p.machine()) == ("Linux", "x86_64") else "none")')
endif
endif

stamps      := $(prefix)/avatar_bridge-$(ROS)
constraints := constraints.txt
extras      := film$(if $(filter wheels,$(ROS)),$(comma)ros$(comma)ros-build)

ifeq ($(ROS),sourced)
# The sourced rclpy was compiled for its own numpy.
constraints  := $(stamps)/constraints.txt
venv_options := --system-site-packages
export LD_LIBRARY_PATH   := $(prefix)/lib:$(LD_LIBRARY_PATH)
export AMENT_PREFIX_PATH := $(prefix):$(AMENT_PREFIX_PATH)
endif

# Nothing leaves this machine, neither messages nor log files.
export ROS_AUTOMATIC_DISCOVERY_RANGE ?= LOCALHOST
export ROS_LOG_DIR ?= $(abspath build/ros_log)
ifeq ($(ROS_DISTRO),humble)
export ROS_LOCALHOST_ONLY ?= 1
endif

export PIP_DISABLE_PIP_VERSION_CHECK := 1
pip_install = $(python) -m pip install -qq --constraint $(constraints)

.PHONY: help demo test lint bench train-smoke clean ros-note

help:
	@echo 'make demo    speech file -> node -> ROS topic and ZeroMQ, in real time; leaves out/demo.*'
	@echo 'make test    linters, types and the whole test suite; TESTS=PATH for a part of it'
	@echo 'make lint    linters and types alone'
	@echo 'make bench   measured figures of this machine'
	@echo 'make train-smoke   every network at toy size: corpus, training, distillation, bundle, table'
	@echo 'make clean   remove build/, out/ and caches; the environment stays'
	@echo
	@echo 'VENV=DIR     the environment to use (made if it is not there), now $(VENV)'
	@echo 'ROS=none     leave ROS 2 out; found here: $(ROS)'

demo: $(stamps)/messages ros-note
	$(python) -m avatar_bridge.demo

test: lint $(stamps)/messages $(stamps)/dialects ros-note
ifdef TESTS
	$(python) -m pytest $(TESTS)
else
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(python) -m pytest -n 2 --dist loadfile -m 'not timed'
	$(python) -m pytest -m timed
endif

# Types are checked against the pinned rclpy; other versions are typed otherwise, or not.
lint: $(stamps)/test-packages
	$(prefix)/bin/ruff check .
ifneq ($(ROS),sourced)
	$(prefix)/bin/mypy
endif

bench: $(stamps)/messages
	$(prefix)/bin/avatar-bridge bench

train-smoke: $(stamps)/test-packages
	rm -rf out/train-smoke
	OMP_NUM_THREADS=1 $(python) -m model.smoke out/train-smoke

clean:
	rm -rf build out dist ros_ws/build ros_ws/install ros_ws/log *.egg-info
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find avatar_bridge model tests launch -name __pycache__ -prune -exec rm -rf {} +

ros-note:
ifeq ($(ROS),none)
	@echo 'make: without ROS 2: none is sourced, and its wheels are for Linux x86-64 with' \
		'Python 3.10 to 3.13'
endif

$(stamps)/environment:
	@echo 'make: new environment $(VENV), ROS 2: $(ROS)'
	@for other in $(prefix)/avatar_bridge-*; do if [ -d "$$other" ]; then \
		echo "make: $(VENV) was made for ROS=$${other##*-}, this is ROS=$(ROS);" \
			'choose another environment with VENV=DIR'; exit 1; fi; done
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
		echo 'make: Python 3.10 or newer is needed, $(PYTHON) is not; try PYTHON=python3.12'; \
		exit 1; }
	@$(PYTHON) -m venv $(venv_options) $(VENV) || { \
		echo 'make: $(PYTHON) cannot make environments; on Debian and Ubuntu:' \
			'sudo apt install python3-venv'; exit 1; }
	@touch $(VENV)/COLCON_IGNORE
	@mkdir -p $(stamps) && touch $@

$(stamps)/constraints.txt: constraints.txt $(stamps)/environment
	@$(python) -c 'import numpy as n; print("numpy==" + max(n.__version__, "1.26.4"))' > $@
	@grep -v '^numpy==' constraints.txt >> $@

$(stamps)/packages: $(stamps)/environment $(constraints) setup.py
	@echo 'make: installing the packages it runs with (a minute or two)'
	@$(pip_install) setuptools
	@$(pip_install) --no-build-isolation --editable '.[$(extras)]'
	@touch $@

$(stamps)/test-packages: $(stamps)/packages
	@echo 'make: installing the test tools (another minute)'
	@$(pip_install) --no-build-isolation --editable '.[test,train]'
	@touch $@

$(stamps)/messages: $(stamps)/packages $(wildcard $(msgs)/msg/*) $(msgs)/CMakeLists.txt
ifneq ($(ROS),none)
	@echo 'make: building the ROS messages (half a minute)'
	@sh ros_ws/tools/build_messages.sh $(prefix) $(msgs) $(ROS)
endif
	@touch $@

# The tests speak with message packages of others; each lies in a folder of its own.
dialects := ros_drivers mgonzs13 hri
$(stamps)/dialects: $(stamps)/messages $(wildcard tests/ros/dialects/*/msg/*)
ifneq ($(ROS),none)
	@echo 'make: building three message packages for the tests (a minute)'
	@for name in $(dialects); do \
		sh ros_ws/tools/build_messages.sh $(prefix) tests/ros/dialects/$$name $(ROS) \
			$(prefix)/dialects/$$name || exit 1; done
endif
	@touch $@
