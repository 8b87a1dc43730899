"""What one delivery carries: its own recipient, never those of its neighbours."""

from __future__ import annotations

import pytest

from router.cisis.settings import ProfileRules
from router.cisis.verdict_codec import PROFILE
from router.contracts import Header, SystemClock
from router.exchange import Delivery, Event, Exchange, Pseudonyms
from router.payload import unpack, unpack_order
from router.sinks.dmp.sink_type import DMP
from router.sinks.mssante.sink_type import MSSANTE
from router.steps.parse import Parse
from router.steps.route import Destination, Route
from router.structures import StructureConfig
from tests.cisis.messages import CODES, FINESS, RCT, RCT_PATIENT, SB, oru

PSEUDONYMS = Pseudonyms(b"k" * 32)


def planned(most: int) -> tuple[Delivery, ...]:
    """The deliveries of a message to `most` professionals and the patient, by mail and to the DMP."""
    doctors = tuple(RCT.replace("^X.400^", f"^X.400^n{number}.") for number in range(most))
    rules = ProfileRules(feed="sil", environment="qualification")
    event = Event("1", "sil", "k", oru(parts=(SB, *doctors, RCT_PATIENT)), {Header.CHECKED: PROFILE})
    exchange = Parse({"sil": rules}, CODES, documents=frozenset({"sil"}), config=None)(Exchange(event))
    structure = {"finess": FINESS, "name": "CHU", "source_oid": "1.2.3", "mssante": "mssante.chu", "dmp": "dmp.chu"}
    route = Route(
        pipeline="p",
        digest="d",
        destinations=(Destination(MSSANTE), Destination(DMP)),
        structures={FINESS: StructureConfig.model_validate(structure)},
        pseudonyms=PSEUDONYMS,
        clock=SystemClock(),
    )
    return tuple(route(exchange).deliveries)


def test_a_delivery_carries_its_own_recipient_only() -> None:
    """Each mail's order names one recipient, the DMP's none; what is asked for is the same in all."""
    mails = [one for one in planned(3) if one.sink == "mssante.chu"]
    assert len(mails) == 4
    for mail in mails:
        order = unpack_order(mail.payload)
        assert order.recipient is not None
        assert order.request.recipients == (order.recipient,)
        (leg,) = MSSANTE.legs(order.request, PSEUDONYMS)
        assert (leg.destination, leg.recipient) == (mail.destination, order.recipient)
    (deposit,) = [one for one in planned(3) if one.sink == "dmp.chu"]
    order, documents = unpack(deposit.payload)
    assert (order.recipient, order.request.recipients, len(documents)) == (None, (), 1)
    assert order.request.mss_professionals and order.request.dmp


@pytest.mark.parametrize("most", [2, 40])
def test_the_payload_of_a_mail_does_not_grow_with_the_other_recipients(most: int) -> None:
    """Payloads of one message grow with the number of its recipients, not with its square."""
    alone = max(len(one.payload) for one in planned(1))
    assert max(len(one.payload) for one in planned(most)) < alone + 50
