"""Which mails came before this one to the same recipient, so that clients show them as one thread."""

from __future__ import annotations

from collections.abc import Iterable

from router.contracts import Row
from router.exchange import Delivery, State
from router.sinks.mssante.mail import message_id


def asked_lineages(delivery: Delivery) -> tuple[str, ...]:
    """What to ask the ledger for: the family of the document, and what it replaces."""
    return tuple(dict.fromkeys(one for one in (delivery.lineage, delivery.replaces) if one))


def references(delivery: Delivery, rows: Iterable[Row], sender: str) -> tuple[str, ...]:
    """The Message-IDs under which this recipient got this document, or the version that it replaces."""
    earlier = (delivery.replaces, delivery.document)
    found = [
        row.evidence.get("message_id", "") or message_id(row.delivery.id, sender)
        for row in rows
        if row.state is State.DONE
        and row.delivery.id != delivery.id
        and row.delivery.destination == delivery.destination
        and row.delivery.document in earlier
    ]
    return tuple(dict.fromkeys(found))
