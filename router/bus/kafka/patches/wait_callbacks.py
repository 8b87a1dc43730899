"""Waiting for a future leaves no callback behind.

kafka-python (3.0.12) adds callbacks to a future each time that somebody waits for it, and never removes them. While the
brokers are silent one search for the coordinator lasts as long as the silence, and every poll waits for it a little:
the callbacks take some 14 MB a minute.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kafka import KafkaConsumer as RawConsumer
from kafka.errors import KafkaTimeoutError
from kafka.future import Future


def leave_nothing(raw: RawConsumer) -> None:
    """Make this client remove its callback from a future when the time to wait for it is over."""
    manager = raw._manager
    net, theirs = manager._net, manager.wait_for

    async def wait_for(future: Any, timeout_ms: float | None) -> Any:
        if timeout_ms is None or not isinstance(future, Future):  # `kafka_join` gives it something else to wait for
            return await theirs(future, timeout_ms)
        over = Future()

        def end(_: object = None) -> None:
            if not over.is_done:
                over.success(None)

        future.add_callback(end)
        future.add_errback(end)
        timer = net.call_later(timeout_ms / 1000, end)
        try:
            await over
        finally:
            net.cancel(timer)
            _take_off(future, end)
        if not future.is_done:
            raise KafkaTimeoutError(f"Timed out after {timeout_ms} ms")
        return await future

    manager.wait_for = wait_for


def _take_off(future: Future, callback: Callable[..., None]) -> None:
    """One that is done has let go of its callbacks itself."""
    with future._lock:
        if not future.is_done:
            future._callbacks.remove(callback)
            future._errbacks.remove(callback)
