"""One message: what happened to it, why, and what left. Its content only with a reason."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Final, Literal

from pydantic import Field

from router.access.tokens import API_CONTENT, API_READ
from router.archive.item import Item
from router.audit.event import Action
from router.console import called, content, mails, opening, story_view
from router.console.api.operation import Free, Id, Input, Operation, Output, Text, moment
from router.console.api.operations.search import Leg, Message, leg, message
from router.console.api.problems import Refused, Wrong
from router.console.page import NotHere
from router.console.versions import versions
from router.console.visit import Visit
from router.contracts.keeping import Kind
from router.errors import OperatorFault
from router.journal.criteria import ANY
from router.journal.render import entries, mentioned
from router.journal.views import EventStory
from router.language import N_, translated

_TYPES: Final = {Kind.MAIL: "message/rfc822", Kind.DSN: "message/rfc822", Kind.MDN: "message/rfc822"}


class One(Input):
    id: Id


class Words(Input):
    words: Text = Field(
        description=N_("MSH-10, id of a document, of a delivery or of a mail (Message-ID), or the id of a message")
    )


class FoundMessages(Output):
    messages: list[Message] = Field(description=N_("those that are called so, newest first; twenty at most"))


class Delivery(Output):
    id: str
    leg: Leg
    at: datetime | None
    pipeline: str
    advice: str = Field(description=N_("what a person should do about it"))
    to_sender: bool = Field(description=N_("it is an answer to the sender"))


class Entry(Output):
    at: datetime | None
    what: str
    text: str
    proofs: list[str]
    count: int = Field(description=N_("attempts in this line"))


class Rule(Output):
    code: str
    text: str


class Decision(Output):
    step: str
    code: str
    text: str


class Kept(Output):
    id: str
    delivery: str
    kind: str
    name: str
    at: datetime | None
    size: int
    sha256: str
    stored: bool = Field(description=N_("whether its content is still kept"))


class SentMail(Output):
    key: str = Field(description=N_("stable: it names this mail for ever"))
    delivery: str
    leg: Leg
    kept: bool = Field(description=N_("whether the bytes that left are kept; else they are made again when asked for"))
    sha256: str = Field(description=N_("of what left; empty when nothing tells"))


class Version(Output):
    message: str = Field(description=N_("id of the message"))
    control_id: str = Field(description="MSH-10")
    received: datetime | None
    did: str = Field(description=N_("what it did to the document"))
    here: bool = Field(description=N_("it is the message that was asked for"))


class Story(Output):
    message: Message
    deliveries: list[Delivery]
    timeline: list[Entry]
    rules: list[Rule] = Field(description=N_("those that refused or warned"))
    decisions: list[Decision] = Field(description=N_("what steps and routes chose, and why"))
    kept: list[Kept] = Field(description=N_("what left and what came back"))
    mails: list[SentMail] = Field(description=N_("mails that left, or were to leave"))
    versions: list[Version] = Field(description=N_("all versions of its document, oldest first; empty if it is alone"))


class Reason(Input):
    id: Id
    reason: Literal["call", "failure", "identity", "test", "request"] = Field(
        description=N_("why: a call, a failure to understand, an identity to verify, a test, a lawful request")
    )
    text: Free = Field(description=N_("in ten characters or more, what for; without a number or a date of a patient"))
    kept: Id | Literal[""] = Field(default="", description=N_("id of one thing kept; empty for the message itself"))
    mail: Id | Literal[""] = Field(default="", description=N_("key of one of its mails, kept or made again"))


class Part(Output):
    kind: str
    media_type: str
    size: int
    sha256: str
    data: str = Field(description=N_("base64 of the bytes, as they came or left"))
    again: bool = Field(default=False, description=N_("it was made again: no copy of it is kept"))
    same: bool | None = Field(
        default=None,
        description=N_("of one that was made again: it is what left, byte for byte; null: nothing tells"),
    )


class Content(Output):
    parts: list[Part]


def story(visit: Visit, given: One) -> Story:
    """Without any identity."""
    found, services = _story(visit, given.id), visit.tools.services
    verdicts = list(story_view.verdicts(found))
    names = services.journal.control_ids(mentioned(found))
    return Story(
        message=message(called.row(visit, found)),
        deliveries=[
            Delivery(
                id=one.delivery_id,
                leg=leg(one.leg),
                at=moment(one.at),
                pipeline=one.pipeline,
                advice=one.advice,
                to_sender=one.answer,
            )
            for one in verdicts
        ],
        timeline=[
            Entry(at=moment(one.at), what=one.what, text=one.text, proofs=list(one.proofs), count=one.count)
            for one in entries(found, names)
        ],
        rules=[Rule(code=one.code, text=one.text) for one in story_view.rules(found)],
        decisions=[Decision(step=one.step, code=one.code, text=one.text) for one in story_view.decisions(found)],
        kept=[_kept(one) for one in _items(visit, found)],
        mails=[
            SentMail(key=one.key, delivery=one.delivery_id, leg=leg(one.leg), kept=one.kept, sha256=one.proof)
            for one in mails.choices(visit, found)
        ],
        versions=[
            Version(
                message=one.event.event_id,
                control_id=one.event.control_id,
                received=moment(one.event.received),
                did=translated(one.did),
                here=one.here,
            )
            for one in versions(services.journal, visit.tools.desk, found, visit.structures)
        ],
    )


def find(visit: Visit, given: Words) -> FoundMessages:
    """Of the structures that may be seen."""
    found = called.called(visit, given.words)
    return FoundMessages(messages=[message(called.row(visit, one)) for one in found])


def _story(visit: Visit, id_: str) -> EventStory:
    """The message of this id. Raises `NotHere` when it is unknown, or of a structure that may not be seen."""
    found = visit.tools.services.journal.story(id_, 1, replace(ANY, within=visit.structures), look_back=True)
    if not found or found[0].event.event_id != id_:
        raise NotHere
    return found[0]


def _items(visit: Visit, found: EventStory) -> list[Item]:
    archive = visit.tools.archive
    if archive is None:
        return []
    return [item for delivery in found.deliveries for item in archive.items(delivery.delivery_id)]


def _kept(item: Item) -> Kept:
    return Kept(
        id=item.id,
        delivery=item.delivery_id,
        kind=item.kind,
        name=item.name,
        at=moment(item.at),
        size=item.size,
        sha256=item.sha256,
        stored=item.stored,
    )


def opened(visit: Visit, given: Reason) -> Content:
    """The bytes. The audit has the reason before anything is read; when it can't be written, nothing is."""
    found = _story(visit, given.id)
    item = next((one for one in _items(visit, found) if one.id == given.kept), None)
    mail = next((one for one in mails.choices(visit, found) if one.key == given.mail), None)
    if (given.kept and item is None) or (given.mail and mail is None) or (given.kept and given.mail):
        raise NotHere
    if faults := opening.faults(given.reason, given.text):
        errors = [Wrong(pointer=f"/{name}", detail=text) for name, text in faults.items()]
        raise Refused(422, "API-REASON", errors=errors)
    reason = opening.written(given.reason, given.text)
    visit.record(Action.VIEWED, kind="event", of=found.event.event_id, structure=found.event.structure, reason=reason)
    if mail is not None:
        return Content(parts=[_mail(visit, found, mail)])
    return Content(parts=[_read(visit, found, item, reason)] if item is not None else list(_came(visit, found)))


def _mail(visit: Visit, found: EventStory, mail: mails.Choice) -> Part:
    """Raises `Refused` (404) for one that is not kept and can't be made again."""
    sent = mails.read(visit, found, mail)
    if sent.fault:
        raise Refused(404, "API-REMOVED", translated(sent.fault))
    part = _part(Kind.MAIL, _TYPES[Kind.MAIL], sent.data)
    return part.model_copy(update={"again": sent.again, "same": sent.same})


def _came(visit: Visit, found: EventStory) -> Iterator[Part]:
    """The message as it came, and its documents. Raises `Refused` (404) when the bus holds it no longer."""
    read = content.read(visit.tools.services, found)
    if read is None:
        raise Refused(404, "API-REMOVED", N_("the content is no longer kept; its story stays"))
    if read.message is not None:
        yield _part("hl7", "application/hl7-v2", read.event.body)
    for document in read.documents:
        yield _part("cda", "application/xml", document.raw)


def _read(visit: Visit, found: EventStory, item: Item, reason: str) -> Part:
    """One thing that was kept. Raises `Refused` (404) when its content was removed, 503 when it can't be read."""
    archive = visit.tools.archive
    if archive is None:
        raise NotHere
    asked = visit.audited(Action.VIEWED, found.event.structure, reason)
    try:
        data = archive.read(item, asked)
    except OperatorFault as fault:
        raise Refused(404 if fault.code == "ARCHIVE-REMOVED" else 503, fault.code, translated(fault.text)) from fault
    return _part(item.kind, _TYPES.get(item.kind, "application/octet-stream"), data)


def _part(kind: str, media_type: str, data: bytes) -> Part:
    return Part(
        kind=kind,
        media_type=media_type,
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        data=base64.b64encode(data).decode(),
    )


OPERATIONS: Final = (
    Operation(
        name="findMessages",
        path="/messages/find",
        method="POST",
        does=N_("Messages by what a person has of them: an MSH-10, the id of a document, a Message-ID."),
        run=find,
        takes=Words,
        gives=FoundMessages,
        scope=API_READ,
        serves=("POST /search",),
    ),
    Operation(
        name="message",
        path="/messages/{id}",
        does=N_("What happened to one message, why, and what left; without identities."),
        run=story,
        takes=One,
        gives=Story,
        scope=API_READ,
        rate="240/minute",
        serves=("GET /messages/{id}",),
    ),
    Operation(
        name="openMessage",
        path="/messages/{id}/content",
        method="POST",
        does=N_("Its content, with a reason that stands in the audit before anything is read."),
        run=opened,
        takes=Reason,
        gives=Content,
        scope=API_CONTENT,
        rate="30/minute",
        serves=(
            "POST /messages/{id}/open",
            "GET /messages/{id}/documents/{rank}/raw",
            "GET /messages/{id}/mails/{mail}/raw",
        ),
    ),
)
