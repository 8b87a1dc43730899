"""A document taken out of the DMP by a program: planned first, ordered once, by whoever administers its structure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from router.access.person import EVERY, Role
from router.audit.event import Action
from router.cisis.lineage import journalled
from router.contracts import Header, Row, out_topic
from router.exchange import Delivery, Origin, State
from router.simulators.sender import Maker
from router.wire import delivery_record, read_delivery, record_at
from tests.console.console_world import SITE, A, B, World, problem
from tests.journal.journal_samples import decided, received
from tests.sinks.dmp_world import delivery, request

DMP = """\
  dmp.a: {type: dmp, url: "https://127.0.0.1:1/", auth: {certificate: a.pem}, sign: {certificate: a.pem},
          lps: {homologation: TEST-1}}
"""
WHY = "mauvais patient, signalé par le service"


@dataclass
class Deposited:
    """A document of hospital A that is at the DMP, and that a doctor had by mail."""

    world: World
    document: str
    deposit: Delivery

    def body(self, **more: str) -> dict[str, object]:
        return {"document": self.document, **more}


@pytest.fixture
def deposited(tmp_path: Path) -> Iterator[Deposited]:
    site = SITE.replace("sinks:\n", f"sinks:\n{DMP}").replace("mssante: mssante.a}", "mssante: mssante.a, dmp: dmp.a}")
    world = World(tmp_path, site)
    sample = Maker(7).document("biology", Maker(7).patient(), size=4_000)
    asked, of = request(sample), world.services.pseudonyms.of
    names = {"lineage": of("set", asked.principal.set_id), "document": of("document", asked.principal.id)}
    event, at = "e" * 64, world.clock.at - 60
    made = delivery(asked, sample, event=event, sink="dmp.a", structure=A, created=at, **names)
    told = received(event, at, feed="sil", **journalled(asked, world.services.pseudonyms) | {"structures": (A,)})
    world.write([told, replace(decided(event, at), deliveries=((made.id, "dmp.a", "DMP"),))])
    mail = replace(
        made, id="f" * 32, sink="mssante.a", destination="mssante:x", label="dr.hoda@x.mssante.fr", payload=b"x"
    )
    for one, evidence in ((made, {"submission_set": "1.2.9"}), (mail, {"message_id": "<m@x>"})):
        (place,) = world.services.bus.producer("test").publish([delivery_record(one)])
        row = Row(
            delivery=replace(one, payload=b""), partition=place.partition, sequence=place.offset, bytes_at=place,
            state=State.DONE, evidence=evidence, updated=world.clock.at - 50,
        )  # fmt: skip
        world.services.ledger().open([row])
    yield Deposited(world, asked.principal.id, made)
    world.close()


def test_a_withdrawal_is_planned_and_ordered_once(deposited: Deposited) -> None:
    """The plan says who had it by mail; a second order tells the first; the audit has it before."""
    world, client = deposited.world, deposited.world.program({A: Role.ADMINISTRATOR})
    planned = client.send("/api/withdrawals/plan", deposited.body()).json()
    assert (planned["sink"], planned["structure"]) == ("dmp.a", A) and planned["deposited"]
    assert [(one["to"], one["message_id"]) for one in planned["had_it"]] == [("dr.hoda@x.mssante.fr", "<m@x>")]
    assert not world.audit and _read(world, planned["delivery"]) is None
    order = deposited.body(delivery=planned["delivery"], reason=WHY)
    world.audit_away = True
    problem(client.send("/api/withdrawals", order), 503, "API-AWAY")
    world.audit_away = False
    problem(client.send("/api/withdrawals", {**order, "delivery": "f" * 31 + "e"}), 409, "API-STALE")
    problem(client.send("/api/withdrawals", {**order, "reason": "née le 31/01/1950"}), 422, "API-REASON")
    done = client.send("/api/withdrawals", order).json()
    assert (done["delivery"], done["message"], done["state"]) == (planned["delivery"], planned["message"], "")
    (line,) = world.audit
    assert (line.action, line.object, line.structure, line.reason) == (Action.WITHDRAWN, deposited.document, A, WHY)
    taken = _read(world, planned["delivery"])
    assert taken is not None and taken.action == "delete"
    row = Row(delivery=replace(taken, payload=b""), partition=0, sequence=10**6, bytes_at=taken.origin,
              state=State.DONE, updated=world.clock.at)  # fmt: skip
    world.services.ledger().open([row])
    assert client.send("/api/withdrawals", order).json()["state"] == "done"
    assert len(world.audit) == 1
    problem(client.send("/api/withdrawals/plan", deposited.body()), 409, "WITHDRAW-DONE")


def test_another_hospitals_document_is_unknown(deposited: Deposited) -> None:
    """To B's administrator byte for byte; an operator of A may not; who administers all may."""
    world, body = deposited.world, deposited.body(delivery="f" * 32, reason=WHY)
    other = world.program({B: Role.ADMINISTRATOR})
    for path, sent in (("/api/withdrawals/plan", deposited.body()), ("/api/withdrawals", body)):
        theirs, unknown = other.send(path, sent), other.send(path, {**sent, "document": "1.2.3"})
        assert problem(theirs, 404, "WITHDRAW-UNKNOWN") and theirs.content == unknown.content
    mixed = world.program({A: Role.OPERATOR, B: Role.ADMINISTRATOR})
    problem(mixed.send("/api/withdrawals/plan", deposited.body()), 403, "API-ROLE")
    everywhere = world.program({EVERY: Role.ADMINISTRATOR})
    assert everywhere.send("/api/withdrawals/plan", deposited.body()).status_code == 200
    assert not world.audit


def _read(world: World, id_: str) -> Delivery | None:
    """The delivery of this id on the topic of the sink."""
    bus = world.services.bus
    ends = bus.ends(out_topic("dmp.a")).items()
    places = [Origin(one.topic, one.number, at) for one, end in ends for at in range(end)]
    found = (record_at(bus, place, Header.DELIVERY, id_) for place in places)
    return next((read_delivery(record) for record in found if record is not None), None)


@pytest.mark.parametrize("did", ["initial", "replace", "delete"])
def test_another_hospitals_delivery_of_the_same_id_decides_nothing(did: str, deposited: Deposited) -> None:
    """A finds its own deposit, also after B sent a document with this id or of this family; it hears nothing of B's."""
    world = deposited.world
    theirs = replace(
        deposited.deposit, id="b" * 32, event_id="b" * 64, sink="dmp.b", structure=B, created=world.clock.at - 5,
        action=did, payload=b"",
    )  # fmt: skip
    if did == "replace":
        other = world.services.pseudonyms.of("document", "1.2.777")
        theirs = replace(theirs, document=other, replaces=theirs.document)
    row = Row(
        delivery=theirs, partition=0, sequence=10**6, bytes_at=theirs.origin, state=State.DONE,
        evidence={"submission_set": "1.2.8", "xds_unique_id": "1.2.777"}, updated=world.clock.at,
    )  # fmt: skip
    world.services.ledger().open([row, replace(row, delivery=replace(theirs, id="c" * 32, sink="dmp.a"))])
    answer = world.program({A: Role.ADMINISTRATOR}).send("/api/withdrawals/plan", deposited.body())
    assert (answer.status_code, answer.json()["sink"]) == (200, "dmp.a")
    assert [one["to"] for one in answer.json()["had_it"]] == ["dr.hoda@x.mssante.fr"]
    assert "1.2.777" not in answer.text
