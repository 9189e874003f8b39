"""Synchronous alarms (s_alarm_timer): a notification from HARDWARE when the time has come."""

from typing import TYPE_CHECKING

from drvs.base import limits
from drvs.base.codes import Code
from drvs.base.flags import DebugMask
from drvs.base.ids import HARDWARE
from drvs.daemon.bindings import Binding
from drvs.daemon.loop import Timer
from drvs.daemon.refusal import Refused
from drvs.daemon.table import State

if TYPE_CHECKING:
    from drvs.daemon.node import Node


class Alarms:
    """At most one alarm for each binding; CLOCK_MONOTONIC, so it survives a restart of noded, not one of the host."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self._timers: dict[int, Timer] = {}  # by record

    def set(self, binding: Binding) -> None:
        """Arm, move or (alarm_ns 0) disarm the alarm of a binding."""
        self.cancel(binding)
        if binding.alarm_ns:
            self._timers[binding.record] = self._node.loop.at(binding.alarm_ns, lambda: self._ring(binding))

    def cancel(self, binding: Binding) -> None:
        """Disarm it."""
        timer = self._timers.pop(binding.record, None)
        if timer is not None:
            timer.cancel()

    def _ring(self, binding: Binding) -> None:
        self._timers.pop(binding.record, None)
        vm = binding.vm
        if not vm.running:
            return
        try:
            self._node.notify(vm, int(HARDWARE), binding.endpoint, 0)
        except Refused as error:
            if error.code == Code.TIMEDOUT:  # the VM is stuck: ring when it goes on
                self._timers[binding.record] = self._node.loop.after_ms(limits.TICK_MS, lambda: self._ring(binding))
                return
        binding.alarm_ns = 0
        self._node.table.write(binding.record, binding.to_record(State.BOUND))
        self._node.log.debug(DebugMask.PRIV, f"alarm of {binding.text()}")
