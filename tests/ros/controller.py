# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Calls the services of the node under test and collects what it publishes."""

from conftest import wait_until

NODE = '/avatar_bridge'


class Controller:
    """Speaks to a running avatar_node from the test's own node."""

    def __init__(self, node):
        """Use `node`, which has a method `spin`."""
        self.node = node

    def call(self, service, name, **fields):
        """Return the response of a service of the node, found by its own name."""
        client = self.node.create_client(service, f'{NODE}/{name}')
        wait_until(lambda: client.wait_for_service(0.1), message=f'no service {name}')
        future = client.call_async(service.Request(**fields))
        wait_until(lambda: self.node.spin() or future.done(), message=f'{name} did not answer')
        self.node.destroy_client(client)
        return future.result()

    def change(self, transition):
        """Trigger a lifecycle transition by name; return whether it succeeded."""
        from lifecycle_msgs.msg import Transition
        from lifecycle_msgs.srv import ChangeState

        number = getattr(Transition, f'TRANSITION_{transition.upper()}')
        return self.call(ChangeState, 'change_state', transition=Transition(id=number)).success

    def state(self):
        """Return the name of the lifecycle state."""
        from lifecycle_msgs.srv import GetState

        return self.call(GetState, 'get_state').current_state.label

    def set(self, name, value):
        """Set a parameter; return (whether it was accepted, the reason)."""
        from rcl_interfaces.srv import SetParameters
        from rclpy.parameter import Parameter

        message = Parameter(name, value=value).to_parameter_msg()
        [result] = self.call(SetParameters, 'set_parameters', parameters=[message]).results
        return result.successful, result.reason

    def describe(self, *names):
        """Return the descriptors of parameters."""
        from rcl_interfaces.srv import DescribeParameters

        return self.call(DescribeParameters, 'describe_parameters', names=list(names)).descriptors

    def names(self):
        """Return the names of all parameters."""
        from rcl_interfaces.srv import ListParameters

        return self.call(ListParameters, 'list_parameters').result.names

    def collect(self, message, topic, qos=100):
        """Return a list that grows with every message on a topic."""
        received = []
        self.node.create_subscription(message, topic, received.append, qos)
        return received

    def until(self, condition, message='it did not happen'):
        """Spin until a condition holds; return what it returned."""
        return wait_until(lambda: self.node.spin() or condition(), message=message)
