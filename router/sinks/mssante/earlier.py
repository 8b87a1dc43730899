"""What this recipient got of a document before it is replaced or deleted (decisions D1; mssante §1.1, §3.2).

A mail speaks only of versions that this recipient was sent. Another recipient may have got other ones, and a version
may have been refused or superseded before it left: neither what the sender replaces nor what he deletes tells it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from router.cisis.lineage import document_ids
from router.contracts import Archive, Row
from router.exchange import Delivery, Pseudonyms, State, same_structure
from router.payload import NOTICE
from router.request import Action, TransmissionRequest
from router.sinks.mssante.mail import message_id

DOCUMENTS: Final = "documents"
"""Evidence of a mail: the ids of its documents, blank-separated."""
THREAD: Final = 20
"""Message-IDs in `References` at most: the first one and the last ones (RFC 5322 §3.6.4 sets no limit)."""
_CLOCKS: Final = 60.0
"""Seconds by which the clocks of two gateways differ at most. What came later is no earlier version; it is there when
a mail is made again for a person."""
_MADE: Final = frozenset({State.DONE, State.BEGUN, State.UNKNOWN})


@dataclass(frozen=True, slots=True)
class Earlier:
    """What the ledger knows of the mails of a document to one recipient; by default it knows of none to anybody.

    known:      some version was on its way to somebody: then it is known too what this recipient was sent
    same:       he was sent the very document of this delivery
    others:     ids of the other versions that he was sent, oldest first; of a replacement only those that he still
                uses. "" stands for one whose ids are not known
    references: Message-IDs of all that he was sent about this document, oldest first
    """

    known: bool = False
    same: bool = False
    others: tuple[str, ...] = ()
    references: tuple[str, ...] = ()

    @property
    def nothing(self) -> bool:
        """Whether it is known that he was sent no version at all."""
        return self.known and not (self.same or self.others)

    def carried(self, action: Action) -> bool:
        """Whether the mail may carry the document: a deletion shows nobody what he has never seen (D1)."""
        return action is not Action.DELETE or self.same or not self.known


NOTHING_KNOWN: Final = Earlier()


def may_have_arrived(row: Row) -> bool:
    """Whether its recipient has this mail, or may have it: an attempt whose outcome is unknown counts."""
    return row.state in _MADE or row.outcome_unknown


def look(
    archive: Archive, delivery: Delivery, request: TransmissionRequest, sender: str, pseudonyms: Pseudonyms
) -> Earlier:
    """What stands in the ledger of this delivery's sink; it asks the database. sender: of mails without evidence."""
    until = delivery.created + _CLOCKS
    rows = [
        row
        for row in _family(archive, delivery)
        if row.delivery.event_id != delivery.event_id and row.delivery.created <= until
    ]
    versions = [row for row in rows if _version(row)]
    mine = [row for row in rows if row.delivery.destination == delivery.destination and may_have_arrived(row)]
    held = [row for row in mine if _version(row)]
    names = _names(versions, request, pseudonyms)
    others = [row for row in held if row.delivery.document != delivery.document]
    if request.action is Action.REPLACE:
        others = _in_use(others)
    found = [row.evidence.get("message_id", "") or message_id(row.delivery.id, sender) for row in mine]
    thread = tuple(dict.fromkeys(found))
    return Earlier(
        known=bool(versions),
        same=any(row.delivery.document == delivery.document for row in held),
        others=tuple(dict.fromkeys(names.get(row.delivery.document, "") for row in others)),
        references=thread if len(thread) <= THREAD else (thread[0], *thread[1 - THREAD :]),
    )


def _family(archive: Archive, delivery: Delivery) -> list[Row]:
    """Every mail of this document's versions that its own structure sent, in the order of their messages.

    Without a setId each version is a family of its own: then one goes back from each to what it replaced.
    """
    found: dict[str, Row] = {}
    names: set[str] = set()
    asked = {delivery.lineage, delivery.replaces} - {""}
    while asked:
        names |= asked
        for name in asked:
            rows = archive.lineage(delivery.sink, name)
            mine = [row for row in rows if same_structure(row.delivery.structure, delivery.structure)]
            found |= {row.delivery.id: row for row in mine if row.delivery.lineage in names}
        known = {row.delivery.document for row in found.values()} | names
        asked = {row.delivery.replaces for row in found.values()} - known - {""}
    return sorted(found.values(), key=lambda row: (row.delivery.created, row.sequence))


def _version(row: Row) -> bool:
    """Whether the mail brings a version: neither a deletion nor a notice of ours (D19) does."""
    return row.delivery.action != Action.DELETE and row.delivery.pipeline != NOTICE


def _in_use(versions: Sequence[Row]) -> list[Row]:
    """The last version that surely was sent, and those after it that may have been: each replaced the ones before."""
    sure = [rank for rank, row in enumerate(versions) if row.state is State.DONE]
    return list(versions[sure[-1] if sure else 0 :])


def _names(versions: Iterable[Row], request: TransmissionRequest, pseudonyms: Pseudonyms) -> dict[str, str]:
    """Pseudonym of a document -> its ids, both of a pair: from what was sent to anybody, and from this message."""
    names: dict[str, str] = {}
    if request.replaces:
        replaced = tuple(one.replaces for one in request.documents if one.replaces)
        names[pseudonyms.of("document", request.replaces)] = in_words(replaced or (request.replaces,))
    for row in versions:
        if ids := row.evidence.get(DOCUMENTS, ""):
            names[row.delivery.document] = in_words(ids.split())
    return names


def in_words(ids: Iterable[str]) -> str:
    """`1.2 et 1.3`, each once; those that are not known are left out."""
    return " et ".join(dict.fromkeys(filter(None, ids)))


def evidence(request: TransmissionRequest) -> str:
    """What `DOCUMENTS` says of a mail with these documents."""
    return " ".join(document_ids(request.documents))
