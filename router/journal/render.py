"""A story as lines of text for an operator, in French: what was asked, what was decided and why, what became of it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from router.engine import proof
from router.journal.stories import DeliveryState, EventStory, Moment, MomentKind

Style = Literal["title", "plain", "good", "warning", "bad", "dim"]


@dataclass(frozen=True, slots=True)
class Line:
    """One line and how it should look; the command line chooses the colours."""

    text: str
    style: Style = "plain"


_KINDS: Final[dict[MomentKind, str]] = {
    "received": "reçu",
    "duplicate": "doublon",
    "refused": "refusé",
    "warning": "alerte",
    "decided": "décidé",
    "decision": "choix",
    "filtered": "écarté",
    "dead": "en échec",
    "command": "commande",
    "delivery": "envoi",
    "attempt": "essai",
    "dsn": "réception",
    "mdn": "lecture",
}
_DISPOSITIONS: Final = {
    "delivered": "remis",
    "filtered": "écarté",
    "superseded": "remplacé",
    "dead_lettered": "en échec",
    "": "en cours",
}
_STATES: Final = {
    "ready": "prêt",
    "begun": "envoi commencé",
    "waiting": "attend un nouvel essai",
    "parked": "retenu derrière un message en échec",
    "unknown": "issue inconnue, en vérification",
}
_ASKED: Final = {
    "dmp": "DMP",
    "mssante": "MSSanté professionnels",
    "mssante-patient": "MSSanté patient",
    "ack-reception": "accusés de réception",
    "ack-lecture": "accusés de lecture",
}
_ACTIONS: Final = {"initial": "création", "replace": "remplacement", "delete": "suppression"}
_LATE_SECONDS: Final = 5.0


def render(story: EventStory, *, behind: float | None = None) -> list[Line]:
    """The whole story, on one screen unless it is a very long one.

    behind: seconds by which the journal is late on the bus, said at the end when it may matter
    """
    lines = [*_heading(story), Line(""), *_deliveries(story.deliveries), Line("Déroulé", "title")]
    day = _day(story.event.received)
    lines += [_line(moment, day) for moment in _collapsed(story.timeline)]
    if behind is not None and behind > _LATE_SECONDS:
        lines.append(Line(f"Le journal a {behind:.0f} s de retard : la suite n'y est pas encore.", "warning"))
    return lines


def _heading(story: EventStory) -> Iterator[Line]:
    event = story.event
    yield Line(f"Message {event.control_id or '(sans MSH-10)'} du flux {event.feed or '?'}", "title")
    facts = [
        f"reçu le {_moment(event.received)}",
        f"par {event.source}" if event.source else "",
        f"de {event.sender}" if event.sender else "",
        _size(event.size),
        f"volet {event.dialect}" if event.dialect else "",
        f"réponse {event.ack}" if event.ack else "",
    ]
    yield Line("  " + ", ".join(fact for fact in facts if fact))
    asked = ", ".join(_ASKED.get(word, word) for word in event.asked)
    if asked or event.action:
        yield Line(f"  demande : {_ACTIONS.get(event.action, event.action)} — {asked or 'aucune destination'}")
    for document in story.documents:
        yield Line(f"  document {document}")
    yield Line(f"  identifiant {event.event_id}", "dim")


def _deliveries(deliveries: Sequence[DeliveryState]) -> Iterator[Line]:
    if not deliveries:
        return
    yield Line("Destinations", "title")
    for delivery in deliveries:
        end = _DISPOSITIONS.get(delivery.disposition, delivery.disposition)
        if not delivery.disposition and delivery.state:
            end = _STATES.get(delivery.state, delivery.state)
        tries = f", {delivery.attempts} essais" if delivery.attempts > 1 else ""
        why = " ".join(part for part in (delivery.code, delivery.text) if part)
        failed = delivery.disposition != "delivered" and why
        yield Line(
            f"  {delivery.sink} ({delivery.label}) : {end}{tries}" + (f" — {why}" if failed else ""),
            _style_of(delivery.disposition),
        )
    yield Line("")


def _style_of(disposition: str) -> Style:
    return {"delivered": "good", "dead_lettered": "bad", "": "warning"}.get(disposition, "plain")  # type: ignore[return-value]


def _collapsed(timeline: Sequence[Moment]) -> Iterator[tuple[Moment, int]]:
    """Attempts that follow one another with the same result become one line with their number."""
    last: Moment | None = None
    count = 0
    for moment in timeline:
        if last is not None and _same(last, moment):
            last, count = moment, count + 1
            continue
        if last is not None:
            yield last, count
        last, count = moment, 1
    if last is not None:
        yield last, count


def _same(one: Moment, other: Moment) -> bool:
    return one.kind == other.kind == "attempt" and (one.delivery_id, one.code) == (other.delivery_id, other.code)


def _line(item: tuple[Moment, int], day: str) -> Line:
    moment, count = item
    when = _clock(moment.at) if _day(moment.at) == day else _moment(moment.at)
    what = _KINDS[moment.kind]
    if moment.kind == "delivery":
        what = _DISPOSITIONS.get(moment.disposition, what)
    parts = [moment.where, moment.code, f"[{moment.place}]" if moment.place else "", moment.text]
    text = " ".join(part for part in parts if part)
    times = f" ({count} fois)" if count > 1 else ""
    return Line(f"  {when}  {what:<10} {text}{times}{_proof(moment.evidence.items())}", _style(moment))


def _proof(evidence: Iterable[tuple[str, str]]) -> str:
    known = list(proof.evidence(evidence))
    return f"  ({' ; '.join(known)})" if known else ""


def _style(moment: Moment) -> Style:
    if moment.kind in ("warning", "attempt"):
        return "warning"
    if moment.kind in ("decision", "duplicate"):
        return "dim"
    if moment.ok is None:
        return "plain"
    if moment.ok:
        return "good"
    return "plain" if moment.disposition in ("superseded", "filtered") else "bad"


def _size(size: int) -> str:
    if not size:
        return ""
    return f"{size} o" if size < 1024 else f"{size / 1024:.0f} Ko" if size < 1024**2 else f"{size / 1024**2:.1f} Mo"


def _day(at: float) -> str:
    return time.strftime("%d/%m/%Y", time.localtime(at))


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at)) + f",{int(at * 1000) % 1000:03}"


def _moment(at: float) -> str:
    return f"{_day(at)} à {_clock(at)}"
