"""Processes of two versions work side by side during an upgrade: each reads what the other writes on the bus.

The code of 0.3.0 wrote `data/records_0.3.0.json` (`format_samples`). A difference here means: processes of 0.3.0
can't share a bus with these. Raise `contracts.EVENT_FORMAT`, or write what they know; docs/upgrade.md says the order.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from router.contracts import Outgoing, Record
from router.engine.pipeline.event_reader import readable
from router.exchange import Event
from router.payload import unpack
from router.wire import read_delivery, read_event, read_journal, read_receipt
from tests.engine import format_samples as samples

OLDER: list[dict[str, Any]] = json.loads((Path(__file__).parent / "data" / "records_0.3.0.json").read_text())
KINDS = ("event", "delivery", "receipt", "journal")


def older(kind: str) -> Record:
    """The record that 0.3.0 wrote, as it is read from the bus."""
    said = OLDER[KINDS.index(kind)]
    value = said["value"].encode("latin-1")
    return Record(said["topic"], samples.ORIGIN.partition, samples.ORIGIN.offset, said["key"], value, said["headers"])


def test_an_older_gateways_event_is_read() -> None:
    """Bytes, verdict, key and headers are what the older gateway meant."""
    found = read_event(older("event"))
    assert isinstance(found, Event)
    assert (found.id, found.feed, found.key) == (samples.EVENT.id, samples.EVENT.feed, samples.EVENT.key)
    assert (found.body, found.verdict, found.headers) == (
        samples.EVENT.body, samples.EVENT.verdict, samples.EVENT.headers
    )  # fmt: skip


def test_a_batch_holds_the_bytes_of_an_event_once() -> None:
    """What is left of its record says where it stands."""
    record = older("event")
    records, events, newer = readable([record], {record.topic: samples.EVENT.feed})
    assert [event.body for event in events] == [samples.EVENT.body]
    assert ([one.origin for one in records], [one.value for one in records]) == ([record.origin], [b""])
    assert not newer


def test_older_pipelines_delivery_is_read() -> None:
    """Every field, the order and the documents."""
    found = read_delivery(older("delivery"))
    assert found == samples.DELIVERY
    assert unpack(found.payload) == (samples.ORDER, [memoryview(one) for one in samples.DOCUMENTS])


def test_older_receipts_and_lines_of_the_journal_are_read() -> None:
    """Every field."""
    assert read_receipt(older("receipt")) == samples.RECEIPT
    assert read_journal(older("journal")) == samples.ENTRY


@pytest.mark.parametrize("kind", KINDS)
def test_an_older_process_reads_what_we_write(kind: str) -> None:
    """Whatever 0.3.0 reads stands where it looks for it; what is new is beside it."""
    ours: Outgoing = samples.records()[KINDS.index(kind)]
    theirs = older(kind)
    assert (ours.topic, ours.key) == (theirs.topic, theirs.key)
    assert {**ours.headers, **theirs.headers} == ours.headers
    for mine, known in zip(_parts(kind, ours.value), _parts(kind, theirs.value), strict=True):
        assert _within(known, mine)


def _parts(kind: str, value: bytes) -> list[Any]:
    if kind == "event":
        return [value]
    if kind == "delivery":
        end = 4 + int.from_bytes(value[:4], "big")
        return [json.loads(value[4:end]), value[end:]]
    return [json.loads(value)]


def _within(known: Any, found: Any) -> bool:
    """Whether all of `known` stands in `found` too. In lists the places count."""
    if isinstance(known, dict):
        return isinstance(found, dict) and all(key in found and _within(one, found[key]) for key, one in known.items())
    return bool(known == found)
