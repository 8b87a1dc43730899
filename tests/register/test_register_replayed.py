"""An older event of one partition that is replayed, whose sender's clock was ahead."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from router.cisis.settings import ProfileRules
from router.contracts import Header
from router.exchange import Event, Exchange, Origin
from router.hl7.message import Message
from router.register import Register
from router.runtime.pipelines import RegisterPipeline
from tests.register.register_samples import INS_1, adt, ins, ipp, ipp_name, zfa


def test_a_replayed_older_event_with_a_later_evn_2_overwrites_nothing(register: Register) -> None:
    """`Register.apply`: of one partition an older event never overwrites a newer one.

    The A31 at 7 was a dead letter and is replayed after the A31 at 8 (downgraded, opposed); its sender's clock ran two
    minutes ahead.
    """
    services: Any = SimpleNamespace(
        register=register,
        config=SimpleNamespace(feeds={"gam": SimpleNamespace(rules=ProfileRules(feed="gam"))}),
        alert=lambda what, facts: None,
    )

    def tell(id_: str, body: bytes, offset: int, **headers: str) -> None:
        event = Event(id_, "gam", "k", body, headers, Origin("in.gam", 0, offset))
        RegisterPipeline(services, "gam").process(Exchange(event).with_(message=Message.parse(event.body)))

    tell("e0", adt("A31", ipp("3"), ins(INS_1), recorded="20260105101400"), 6)
    tell("e2", adt("A31", ipp("3"), status="PROV", zfa=zfa("IO"), recorded="20260105101500"), 8)
    again = {Header.ORIGIN: "in.gam/0/7", Header.COMMAND: "replay"}
    tell("e1", adt("A31", ipp("3"), ins(INS_1), status="VALI", zfa=zfa("INO"), recorded="20260105101700"), 7, **again)
    found = register.find(ipp_name("3"))
    assert found is not None
    assert (found.qualified, found.opposed) == (False, True)
