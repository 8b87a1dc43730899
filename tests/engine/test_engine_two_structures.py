"""Two hospitals on one sink: a document id or a setId that both use joins nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from router.contracts import Row
from router.engine.delivery.supersession_rules import Effect, concerns, effect, later, passed_by
from router.exchange import Delivery, Origin, State

A, B = "750000001", "690000002"
OLD = Row(
    delivery=Delivery(
        id="1" * 32, event_id="1" * 64, sink="mssante", destination="x", key="k", lane="k:x", payload=b"",
        origin=Origin("in.sil", 0, 0), lineage="set", document="doc", action="initial", created=1.0, structure=A,
    ),
    partition=0, sequence=1, bytes_at=Origin("out.mssante", 0, 1), state=State.WAITING,
)  # fmt: skip


def _new(**changes: object) -> Row:
    facts = {"id": "2" * 32, "event_id": "2" * 64, "created": 2.0, "action": "delete", **changes}
    return replace(OLD, delivery=replace(OLD.delivery, **facts), sequence=2)  # type: ignore[arg-type]


@pytest.mark.parametrize("action", ["delete", "replace"])
@pytest.mark.parametrize(("structure", "own"), [(A, True), ("", True), (B, False)])
def test_a_deletion_or_a_replacement_overtakes_its_own_structures_document_alone(
    action: str, structure: str, own: bool
) -> None:
    """Whatever its lane and its state; a row that an older version wrote without structure counts with each."""
    new = _new(action=action, structure=structure, replaces="doc" if action == "replace" else "")
    dead = replace(OLD, state=State.DEAD)
    assert concerns(new.delivery, OLD.delivery) == own
    assert (effect(new, dead, in_flight=False) is Effect.SUPERSEDES) == own
    assert (passed_by(OLD, [replace(new, state=State.DONE)]) is not None) == own


def test_places_of_two_topics_say_nothing_of_the_order() -> None:
    """In two sinks the time of acceptance counts: each has its own topic."""
    other = replace(_new(sink="mssante.b", created=0.5), sequence=99)
    assert later(OLD, other) and not later(other, OLD)
    assert later(_new(created=0.5), OLD)  # one topic, one key: the place counts
