# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
The lifecycle node `avatar_bridge`.

configure loads the bundle and warms up, activate starts a session, deactivate stops it, cleanup
frees. Callbacks only hand over; the session's threads do the work.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import wraps
import logging
from pathlib import Path
import signal
import sys
from typing import Any, Final

from avatar_bridge_msgs.msg import AudioLevel
from diagnostic_msgs.msg import DiagnosticArray
import numpy as np
import rclpy
from rclpy.clock import Clock, ClockType, ROSClock  # type: ignore[attr-defined]
from rclpy.duration import Duration
from rclpy.exceptions import (
    InvalidHandle,
    InvalidParameterTypeException,
    InvalidParameterValueException,
)
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import (
    LifecycleNode,
    LifecyclePublisher,
    LifecycleState,
    TransitionCallbackReturn,
)
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions
from std_srvs.srv import SetBool, Trigger

from avatar_bridge.audio.messages import Format
from avatar_bridge.bundle import load_bundle
from avatar_bridge.compose import compose, idle_amount
from avatar_bridge.config import Option
from avatar_bridge.errors import AvatarBridgeError, UsageError
from avatar_bridge.frames import AudioBlock, EndOfSpeech, Event
from avatar_bridge.ports import FrameSink
from avatar_bridge.ros.clock import RosClock
from avatar_bridge.ros.convert import level_message
from avatar_bridge.ros.diagnostics import counters_of, status
from avatar_bridge.ros.hearing import Hearing
from avatar_bridge.ros.joints import JointSink, load_joints
from avatar_bridge.ros.parameters import FIXED, Parameters
from avatar_bridge.ros.sink import RosSink
from avatar_bridge.session import Session
from avatar_bridge.sources.feed import FeedSource
from avatar_bridge.stream.engine import Engine

NAME: Final = 'avatar_bridge'
LEVEL_PERIOD: Final = 0.1           # seconds
DIAGNOSTICS_PERIOD: Final = 1.0
BACKLOG: Final = 3600               # frames: a minute
FAREWELL: Final = Duration(seconds=0.5)     # a topic, where a subscriber does not answer
BURST: Final = 120.0               # seconds that a speech synthesiser may send at once
DONE, REFUSED = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


def logged(transition: Any) -> Any:
    """Say why a transition fails; rclpy would keep it to itself."""
    @wraps(transition)
    def run(node: AvatarNode, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return transition(node, state)
        except AvatarBridgeError as error:
            node.fail(str(error))
            return REFUSED
        except Exception:
            node.fail(f'{transition.__name__} failed')
            logging.getLogger(NAME).exception('%s failed', transition.__name__)
            raise
    return run


class AvatarNode(LifecycleNode):
    """Audio from a topic, a microphone or a file; frames on topics and to other sinks."""

    def __init__(self, **options: Any) -> None:
        """Declare everything that is there in every state."""
        super().__init__(NAME, **options)
        self.problem = ''           # why the node does not do what it should
        self._engine: Engine | None = None
        self._session: Session | None = None
        self._hearing: Hearing | None = None
        self._feed: FeedSource | None = None
        self._time: RosClock | None = None
        self._sink: RosSink | None = None
        self._joints: JointSink | None = None
        self._before: dict[str, Any] = {}
        self._clipped = 0
        self.parameters = Parameters(self, refuse=self._refuse, changed=self._changed)
        self._level = self.create_lifecycle_publisher(AudioLevel, '~/audio_level', 1)
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', 1)
        self.create_service(Trigger, '~/flush', self._flush)
        self.create_service(SetBool, '~/set_mute', self._set_mute)
        steady = Clock(clock_type=ClockType.STEADY_TIME)    # goes on while a bag stands still
        self.create_timer(LEVEL_PERIOD, self._watch, clock=steady)
        self.create_timer(DIAGNOSTICS_PERIOD, self._diagnose, clock=steady)

    @logged
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the bundle, build the engine, predict once so that nothing is slow later."""
        self.problem = ''
        config = self.parameters.config()
        engine = Engine(load_bundle(config.bundle), config.engine)
        engine.push(np.zeros(engine.sample_rate // 2, np.float32))
        engine.reset()
        # as fast as possible means that a subscriber may be far behind, and loses nothing
        depth = max(self.parameters['depth'], BACKLOG if config.pace == 'max' else 0)
        self._joints = self._joint_sink(depth)
        self._engine = engine
        self._sink = RosSink(self, self._to_ros, depth=depth)
        return super().on_configure(state)

    @logged
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Open the source and the sinks and start."""
        self.problem = ''
        config = self.parameters.config()
        assert self._engine is not None
        assert self._sink is not None
        self._engine.reset()
        super().on_activate(state)      # a sleeping lifecycle publisher would drop the layout
        ros = self.get_clock()
        assert isinstance(ros, ROSClock)
        self._time = RosClock(ros)
        try:
            if config.source == 'topic':
                self._feed = FeedSource(capacity=BURST)
            outlets: dict[str, FrameSink] = {'ros': self._sink}
            if self._joints is not None:
                outlets['joints'] = self._joints
            self._session = compose(config, source=self._feed, sinks=outlets,
                                    engine=self._engine, clock=self._time)
            self._session.start()
            self._session.mute(self.parameters['muted'])
            if self._feed is not None:
                self._hearing = self._listen(config.input_rate)
        except Exception:
            self._stop()
            super().on_deactivate(state)
            raise
        self.get_logger().info(f'active: {config.source} -> {", ".join(config.sinks)}')
        return DONE

    @logged
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop; frames that are made already still go out."""
        self._stop()
        return super().on_deactivate(state)

    @logged
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the network and the topics."""
        self._free()
        return super().on_cleanup(state)

    @logged
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop from whatever state."""
        self._stop()
        self._free()
        return super().on_shutdown(state)

    def fail(self, problem: str) -> None:
        """Keep a problem for the diagnostics, and log it."""
        self.problem = problem
        self.get_logger().error(problem)

    def destroy_lifecycle_publisher(self, publisher: LifecyclePublisher[Any]) -> bool:
        """Take a topic away once its last messages have come; they would go with it."""
        with suppress(InvalidHandle):       # the context went down, and its publishers with it
            publisher.wait_for_all_acked(FAREWELL)
        return bool(super().destroy_lifecycle_publisher(publisher))

    def destroy_node(self) -> None:
        """Stop before going."""
        self._stop()
        self._free()
        super().destroy_node()

    def _joint_sink(self, depth: int) -> JointSink | None:
        """Return what moves the robot that the parameter `joints` describes."""
        if not self.parameters['joints']:
            return None
        joints = load_joints(Path(self.parameters['joints']).expanduser())
        return JointSink(self, self._to_ros, joints, kind=self.parameters['joint_messages'],
                         depth=depth)

    def _listen(self, sample_rate: int) -> Hearing:
        return Hearing(self, self._take, audio_type=self.parameters['audio_type'],
                       depth=self.parameters['audio_depth'],
                       format=Format(sample_rate=sample_rate))

    def _take(self, item: AudioBlock | EndOfSpeech) -> None:
        """Hand what was heard over, with its time on the session's clock."""
        assert self._feed is not None
        assert self._time is not None
        if isinstance(item, EndOfSpeech):
            self._feed.end_of_speech()
            return
        capture = None if item.capture_ns is None else self._time.from_ros(item.capture_ns)
        self._feed.push(item._replace(capture_ns=capture))

    def _stop(self) -> None:
        if self._hearing is not None:
            self._hearing.close()
        if self._session is not None:
            self._session.stop()
            if not self._session.wait(2.0) and self._time is not None:
                self._time.release()       # simulated time may stand still for ever
            self._session.close()
        if self._time is not None:
            self._time.release()
        self._hearing = self._session = self._feed = self._time = None

    def _free(self) -> None:
        for sink in (self._sink, self._joints):
            if sink is not None:
                sink.destroy()
        self._engine = self._sink = self._joints = None

    def _to_ros(self, nanoseconds: int) -> int:
        return nanoseconds if self._time is None else self._time.to_ros(nanoseconds)

    def _watch(self) -> None:
        """Ten times a second: level, time jumps, the type of the topic, the end of the source."""
        if self._session is None or self._time is None:
            return
        if jumped := self._time.take_jump():
            self._restart_after(jumped)
        if self._hearing is not None:
            self._hearing.look()
        stats = self._session.stats
        stamp = self.get_clock().now().to_msg()
        self._level.publish(level_message(
            stats.level, clipping=stats.clipped > self._clipped, stamp=stamp,
            avatar=self.parameters['avatar']))
        self._clipped = stats.clipped
        if self._session.wait(0):
            self._leave()

    def _restart_after(self, jumped: int) -> None:
        assert self._session is not None
        detail = f'ROS time jumped by {jumped / 1e9:+.3f} s: starting afresh'
        self.get_logger().warning(detail)
        self._session.flush()
        self._session.notify(Event('reset', detail))

    def _leave(self) -> None:
        """The source has ended, or something went wrong: become inactive."""
        assert self._session is not None
        session = self._session
        self.trigger_deactivate()
        try:
            session.check()
            self.get_logger().info('the source has ended')
        except AvatarBridgeError as error:
            self.fail(str(error))

    def _flush(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if self._session is not None:
            self._session.flush()
        response.success = self._session is not None
        response.message = 'flushed' if response.success else 'the node is not active'
        return response

    def _set_mute(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        [result] = self.set_parameters([Parameter('muted', value=request.data)])
        response.success = result.successful
        response.message = result.reason or f'muted: {request.data}'.lower()
        return response

    def _refuse(self, option: Option) -> str:
        """Return why an option cannot change now."""
        if option.live:
            return ''
        if self._session is not None:
            return 'cannot change while the node is active; deactivate it first'
        if self._engine is not None and (option.engine or option.name in FIXED):
            return 'cannot change while the node is configured; clean it up first'
        return ''

    def _changed(self, new: Mapping[str, Any]) -> None:
        config = self.parameters.config()
        if self._engine is not None and 'gain' in new:
            self._engine.set_gains(config.engine.gains)
        if self._engine is not None and self._session is None:
            self._engine.steps = config.engine.steps
        if self._session is not None and 'steps' in new:
            self._session.set_steps(config.engine.steps)
        if self._session is not None and 'idle' in new:
            self._session.set_idle(idle_amount(config))
        if self._session is not None and 'muted' in new:
            self._session.mute(new['muted'])

    def _diagnose(self) -> None:
        hearing = self._hearing
        counters = counters_of(
            None if self._session is None else self._session.stats,
            problem=self.problem or ('' if hearing is None else hearing.problem),
            messages=0 if hearing is None else hearing.messages,
            refused=0 if hearing is None else hearing.refused,
            subscribers=0 if self._sink is None else self._sink.subscribers,
            missed=0 if self._feed is None else self._feed.dropped)
        state = self._state_machine.current_state[1]
        message = DiagnosticArray()
        message.header.stamp = self.get_clock().now().to_msg()
        message.status = [status(f'{self.get_name()}: session', self.parameters['avatar'],
                                 state=state, counters=counters, before=self._before)]
        self._diagnostics.publish(message)
        self._before = counters


def main(arguments: list[str] | None = None) -> int:
    """Run the node until Ctrl-C or shutdown; return the exit status."""
    logging.basicConfig(level=logging.WARNING)
    # rclpy's own handlers would end the context while the last frames are on their way to it.
    rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    for number in (signal.SIGINT, signal.SIGTERM):      # a shell's `&` has SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    try:
        return run()
    except (KeyboardInterrupt, ExternalShutdownException):
        return 0
    except (UsageError, InvalidParameterTypeException, InvalidParameterValueException) as error:
        print(f'avatar_node: {error}', file=sys.stderr)
        return 2
    except AvatarBridgeError as error:
        print(f'avatar_node: {error}', file=sys.stderr)
        return 1
    finally:
        rclpy.try_shutdown()


def run() -> int:
    """Make the node and spin it."""
    node = AvatarNode()
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        if node.parameters['autostart']:
            for transition in (node.trigger_configure, node.trigger_activate):
                if transition() != DONE:
                    return 1            # the transition has said why
        executor.spin()
    finally:
        node.destroy_node()
    return 0


if __name__ == '__main__':
    sys.exit(main())
