"""A story as lines of text, in the operator's language: what was asked, what was decided and why, what became of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from router.engine.dead_letters import evidence
from router.exchange import Receipt
from router.french_time import clock, day
from router.journal.views import DeliveryState, EventStory, EventSummary, Moment, MomentKind
from router.language import N_, _, plural, translated, translated_head
from router.printable import printable
from router.sinks import registry

Style = Literal["title", "plain", "good", "warning", "bad", "dim"]


@dataclass(frozen=True, slots=True)
class Line:
    """One line and how it should look; the command line chooses the colours and folds at the terminal's width.

    hang: column at which what doesn't fit goes on
    """

    text: str
    style: Style = "plain"
    hang: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the story, in the operator's language. what: its kind in a word;  count: attempts in one line
    proofs: what proves it, a text each;  exact: whether `at` (Unix seconds) has a fraction
    """

    at: float
    what: str
    text: str
    proofs: tuple[str, ...] = ()
    style: Style = "plain"
    count: int = 1
    exact: bool = True


_KINDS: Final[dict[MomentKind, str]] = {
    "received": N_("reçu"),
    "duplicate": N_("doublon"),
    "refused": N_("refusé"),
    "warning": N_("alerte"),
    "decided": N_("décidé"),
    "decision": N_("choix"),
    "filtered": N_("écarté"),
    "dead": N_("en échec"),
    "command": N_("commande"),
    "delivery": N_("envoi"),
    "attempt": N_("essai"),
    "dsn": N_("réception"),
    "mdn": N_("lecture"),
}
_DISPOSITIONS: Final = {
    "delivered": N_("remis"),
    "filtered": N_("écarté"),
    "superseded": N_("remplacé"),
    "dead_lettered": N_("en échec"),
    "": N_("en cours"),
}
_STATES: Final = {
    "ready": N_("prêt"),
    "begun": N_("envoi commencé"),
    "waiting": N_("attend un nouvel essai"),
    "parked": N_("retenu derrière un message en échec"),
    "unknown": N_("issue inconnue, en vérification"),
}
_ASKED: Final = {
    **dict(registry.asked().values()),
    "ack-reception": N_("accusés de réception"),
    "ack-lecture": N_("accusés de lecture"),
}
_EVIDENCE: Final = registry.evidence_names()
_ACTIONS: Final = {"initial": N_("création"), "replace": N_("remplacement"), "delete": N_("suppression")}
_LATE_SECONDS: Final = 5.0
_PROOF_WIDTH: Final = 72
"""Beside the time and the kind on a terminal of 100 columns; longer proofs take a line each."""
_ANSWER: Final = "ZAM^"
#: Of several ends on one line, the worst gives the colour.
_RANK: Final = ("bad", "warning", "plain", "good").index


def render(
    story: EventStory,
    *,
    behind: float | None = None,
    names: Mapping[str, str] | None = None,
    absent: str = "",
) -> list[Line]:
    """The whole story, on one screen unless it is a very long one; whatever a sender wrote, each line is one line.

    behind: seconds by which the journal is late on the bus; None when nobody knows
    names:  MSH-10 of other events that this story mentions, by event id
    absent: why nothing goes on, when the router is not running
    """
    lines = [*_heading(story), Line(""), *_destinations(story.deliveries), Line(_("Déroulé"), "title")]
    today, names = day(story.event.received), names or {}
    lines += [line for entry in entries(story, names) for line in _lines(entry, today)]
    return [replace(line, text=printable(line.text)) for line in (*lines, _lateness(behind, absent))]


def asked_of(event: EventSummary) -> str:
    """`création — DMP, MSSanté`; "" when nothing was asked."""
    asked = ", ".join(_(_ASKED.get(word, word)) for word in event.asked)
    action = _(_ACTIONS.get(event.action, event.action))
    return f"{action} — {asked or _('aucune destination')}" if asked or event.action else ""


def mentioned(story: EventStory) -> set[str]:
    """Events that overtook deliveries of this one."""
    return {by for moment in story.timeline if (by := moment.evidence.get(evidence.SUPERSEDED_BY))}


def _lateness(behind: float | None, absent: str) -> Line:
    if absent:
        waits = " ; " + _("le bus tient encore ce que le journal n'a pas lu") if behind else ""
        return Line(_("Rien n'avance : {reason}{waits}.", reason=absent, waits=waits), "warning")
    if behind is None:
        return Line(_("Retard du journal inconnu : le bus ne répond pas."), "warning")
    if not behind:
        return Line(_("Journal à jour."), "dim")
    style: Style = "warning" if behind > _LATE_SECONDS else "dim"
    return Line(_("Le journal a {seconds} s de retard : la suite n'y est pas encore.", seconds=f"{behind:.0f}"), style)


def _heading(story: EventStory) -> Iterator[Line]:
    event = story.event
    name = event.control_id or _("(sans MSH-10)")
    yield Line(_("Message {name} du flux {feed}", name=name, feed=event.feed or "?"), "title")
    facts = [
        _("reçu le {moment}", moment=_moment(event.received)),
        _("par {source}", source=event.source) if event.source else "",
        _("de {sender}", sender=event.sender) if event.sender else "",
        _size(event.size),
        _("volet {dialect}", dialect=event.dialect) if event.dialect else "",
        _("réponse {ack}", ack=event.ack) if event.ack else "",
    ]
    yield Line("  " + ", ".join(fact for fact in facts if fact))
    if asked := asked_of(event):
        yield Line("  " + _("demande : {asked}", asked=asked))
    for document in story.documents:
        yield Line("  " + _("document {name}", name=document))
    yield Line("  " + _("identifiant {name}", name=event.event_id), "dim")


def _destinations(deliveries: Sequence[DeliveryState]) -> Iterator[Line]:
    """Where the documents went; then, on one line for each endpoint, what went back to the sender."""
    if not deliveries:
        return
    yield Line(_("Destinations"), "title")
    answers: dict[str, list[DeliveryState]] = {}
    for delivery in deliveries:
        if delivery.label.startswith(_ANSWER):
            answers.setdefault(delivery.sink, []).append(delivery)
        else:
            yield _destination(delivery)
    for sink, told in answers.items():
        said = " ; ".join(f"{one.label.removeprefix(_ANSWER)} {_end(one)}" for one in told)
        style = min((_style_of(one.disposition) for one in told), key=_RANK)
        yield Line("  " + _("retour à l'émetteur ({sink}) : {said}", sink=sink, said=said), style)
    yield Line("")


def _destination(delivery: DeliveryState) -> Line:
    tries = ", " + plural("{count} essai", "{count} essais", delivery.attempts) if delivery.attempts > 1 else ""
    why = " ".join(part for part in (delivery.code, translated(delivery.text)) if part)
    failed = delivery.disposition != "delivered" and why
    where = _("{sink} ({label}) : {end}", sink=delivery.sink, label=delivery.label, end=_end(delivery))
    text = f"  {where}{tries}" + (f" — {why}" if failed else "")
    return Line(text, _style_of(delivery.disposition))


def outcome_of(receipt: Receipt) -> str:
    """What a receipt proves, as a person reads it: how the delivery ended, else the kind of report."""
    return _(_DISPOSITIONS[receipt.disposition] if receipt.disposition else _KINDS[receipt.kind.value])


def _end(delivery: DeliveryState) -> str:
    if not delivery.disposition and delivery.state:
        return _(_STATES.get(delivery.state, delivery.state))
    return _(_DISPOSITIONS.get(delivery.disposition, delivery.disposition))


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


def _told_once(timeline: Sequence[Moment]) -> list[Moment]:
    """Without the decisions that only repeat a warning of the gateway."""
    warned = {moment.text for moment in timeline if moment.kind == "warning"}
    return [m for m in timeline if not (m.kind == "decision" and f"{m.code}: {m.text}" in warned)]


def entries(story: EventStory, names: Mapping[str, str]) -> Iterator[Entry]:
    """What happened, in order of time. names: MSH-10 of the events that `mentioned` gives."""
    for moment, count in _collapsed(_told_once(story.timeline)):
        what = _KINDS[moment.kind]
        if moment.kind == "delivery":
            what = _DISPOSITIONS.get(moment.disposition, what)
        parts = [moment.where, moment.code, f"[{moment.place}]" if moment.place else "", _told(moment)]
        yield Entry(
            at=moment.at,
            what=_(what),
            text=" ".join(part for part in parts if part),
            proofs=(*_overtaken(moment, names), *evidence.evidence(moment.evidence.items(), _EVIDENCE)),
            style=_style(moment),
            count=count,
            exact=moment.kind not in ("dsn", "mdn"),  # the Date of a mail has no fraction
        )


def _lines(entry: Entry, today: str) -> Iterator[Line]:
    """What happened; below it, what proves it."""
    time = clock(entry.at, thousandths=entry.exact)
    when = time if day(entry.at) == today else f"{day(entry.at)} {time}"
    times = " " + _("({count} fois)", count=entry.count) if entry.count > 1 else ""
    start = f"  {when:<12}  {entry.what:<10} "
    yield Line(f"{start}{entry.text}{times}", entry.style, len(start))
    joined = " ; ".join(entry.proofs)
    for proved in [joined] if joined and len(joined) <= _PROOF_WIDTH else entry.proofs:
        yield Line(" " * len(start) + proved, "dim", len(start))


def _told(moment: Moment) -> str:
    """The sentence; of a command, ours and then the person's own words."""
    return translated_head(moment.text) if moment.kind == "command" else translated(moment.text)


def _overtaken(moment: Moment, names: Mapping[str, str]) -> Iterator[str]:
    if by := moment.evidence.get(evidence.SUPERSEDED_BY):
        yield _("par le message {name}", name=names[by]) if by in names else _("par l'événement {name}", name=by)


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
    if size < 1024:
        return _("{size} o", size=size)
    return _("{size} Ko", size=f"{size / 1024:.0f}") if size < 1024**2 else _("{size} Mo", size=f"{size / 1024**2:.1f}")


def _moment(at: float) -> str:
    return _("{day} à {time}", day=day(at), time=clock(at))
