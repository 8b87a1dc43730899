"""What stands on the broker's port and is no broker: the diagnosis ends, and takes no memory."""

from __future__ import annotations

import time

import pytest

from router.bus.kafka.connection_diagnostics import _knock
from router.bus.settings import KafkaConfig
from router.errors import OperatorFault
from tests.trickle import PAUSE, trickle

pytestmark = pytest.mark.alone


def config(port: int) -> KafkaConfig:
    made = KafkaConfig.model_validate({"servers": f"127.0.0.1:{port}"})
    return made.model_copy(update={"request_timeout": PAUSE * 4})


def test_a_port_that_trickles_is_left() -> None:
    """A reply of 1 MB, a byte now and then: away, within ten time-outs."""
    with trickle((1 << 20).to_bytes(4, "big")) as port:
        start = time.monotonic()
        with pytest.raises(TimeoutError):
            _knock(None, "127.0.0.1", port, config(port), 1)
        assert time.monotonic() - start < PAUSE * 4 * 10 * 2.5


def test_a_web_server_is_no_broker() -> None:
    """`HTTP` read as a size would be 1.2 GB: told at once, not waited for."""
    with trickle(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        start = time.monotonic()
        with pytest.raises(OperatorFault):
            _knock(None, "127.0.0.1", port, config(port), 1)
        assert time.monotonic() - start < 1
