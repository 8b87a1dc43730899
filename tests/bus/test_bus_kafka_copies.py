"""What stands in place of the client's own reading reads the same."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.errors import CorruptRecordError, KafkaConnectionError
from kafka.protocol.frame import KafkaBytes
from kafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder

from router.bus.kafka.patches.fetch_copies import REPLACED, open_batch, read, receive

_NONE, _GZIP = 0, 1
_LARGE = 100_000


def test_only_what_the_client_has_is_replaced() -> None:
    """In a process of its own, where nothing has been replaced yet."""
    ask = (
        "from router.bus.kafka.patches.fetch_copies import REPLACED\n"
        "print(all(name in vars(kind) for kind, name, _ in REPLACED))"
    )
    told = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "True"


def test_a_process_that_uses_the_bus_has_it() -> None:
    import router.bus.kafka.kafka_bus  # noqa: F401

    assert all(vars(kind)[name] is ours for kind, name, ours in REPLACED)


# ------------------------------------------------------------------------------------------------ a socket


@pytest.fixture
def line() -> Iterator[tuple[socket.socket, Any]]:
    near, far = socket.socketpair()
    near.setblocking(False)
    with near, far:
        yield far, SimpleNamespace(_sock=near)


def test_all_that_was_sent_is_received_in_order(line: tuple[socket.socket, Any]) -> None:
    far, transport = line
    sent = bytes(range(256)) * 8192

    def send() -> None:
        far.sendall(sent)
        far.shutdown(socket.SHUT_WR)

    threading.Thread(target=send, daemon=True).start()
    got, error = bytearray(), None
    while error is None:
        part, error = receive(transport)
        got += part
    assert got == sent
    assert isinstance(error, KafkaConnectionError)


def test_an_empty_socket_gives_nothing_and_goes_on(line: tuple[socket.socket, Any]) -> None:
    part, error = receive(line[1])
    assert (bytes(part), error) == (b"", None)


def test_a_socket_that_fails_ends_the_connection(line: tuple[socket.socket, Any]) -> None:
    line[1]._sock.close()
    part, error = receive(line[1])
    assert bytes(part) == b""
    assert isinstance(error, KafkaConnectionError)


# ------------------------------------------------------------------------------------------------- a frame


@given(st.lists(st.integers(0, 70_000), max_size=8))
def test_a_frame_is_read_as_it_was_written(sizes: list[int]) -> None:
    data = bytes(index * 7 % 251 for index in range(150_000))
    frame = KafkaBytes(len(data))
    frame.write(data)
    frame.seek(0)
    at = 0
    for size in sizes:
        part = read(frame, size)
        assert bytes(part) == data[at : at + size]
        at = min(at + size, len(data))
        assert frame.tell() == at
    assert bytes(read(frame)) == data[at:]
    assert bytes(read(frame, 10)) == b""


def test_a_small_part_does_not_keep_the_frame() -> None:
    frame = KafkaBytes(_LARGE)
    assert type(read(frame, 10)) is bytes
    assert type(read(frame)) is memoryview


# ----------------------------------------------------------------------------------------- a batch of records


def built(compression: int) -> bytes:
    builder = DefaultRecordBatchBuilder(2, compression, True, 7, 1, 0, 1 << 20)
    builder.append(0, 1_000, b"key", b"v" * _LARGE, [("event", "é".encode()), ("none", None)])
    builder.append(1, 1_001, None, None, [])
    return bytes(builder.build())


def opened(buffer: bytes) -> DefaultRecordBatch:
    batch = DefaultRecordBatch.__new__(DefaultRecordBatch)
    open_batch(batch, memoryview(buffer))
    return batch


@pytest.mark.parametrize("compression", [_NONE, _GZIP])
def test_a_batch_gives_the_records_that_were_put_in(compression: int) -> None:
    batch = opened(built(compression))
    assert batch.validate_crc()
    assert batch.is_transactional and not batch.is_control_batch
    assert (batch.producer_id, batch.records_count) == (7, 2)
    first, second = batch
    assert (first.key, first.value) == (b"key", b"v" * _LARGE)
    assert first.headers == [("event", "é".encode()), ("none", None)]
    assert (second.key, second.value, second.headers) == (None, None, [])
    assert type(first.value) is bytes


def test_a_damaged_batch_is_told() -> None:
    damaged = bytearray(built(_NONE))
    damaged[-1] ^= 1
    assert not opened(bytes(damaged)).validate_crc()
    with pytest.raises(CorruptRecordError):
        list(opened(bytes(damaged)))
