"""Statuses in shape, word and tone (never colour alone), and what of the site's state a person may see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from router.config.site_models import SiteConfig
from router.language import N_
from router.runtime.status import judge
from router.runtime.status.views import Attention, CertificateView, SinkView, Status

Structures = frozenset[str] | None
"""FINESS numbers; None for all."""
Tone = Literal["good", "waiting", "warning", "bad", "plain"]


@dataclass(frozen=True, slots=True)
class StatusWord:
    """How one status is shown. The shape differs for each tone, so that it reads in black and white."""

    shape: str
    word: str
    tone: Tone


#: Of deliveries, events, circuits, workers and dead letters.
STATUSES: Final[Mapping[str, StatusWord]] = {
    "delivered": StatusWord("●", N_("delivered"), "good"),
    "running": StatusWord("●", N_("running"), "good"),
    "closed": StatusWord("●", N_("closed"), "good"),
    "read": StatusWord("●", N_("is read"), "good"),
    "well": StatusWord("●", N_("well"), "good"),
    "": StatusWord("◷", N_("waiting"), "waiting"),
    "ready": StatusWord("◷", N_("waiting"), "waiting"),
    "waiting": StatusWord("◷", N_("waiting for another try"), "waiting"),
    "parked": StatusWord("◷", N_("held behind a failed one"), "waiting"),
    "begun": StatusWord("◐", N_("being sent"), "waiting"),
    "starting": StatusWord("◐", N_("starting"), "waiting"),
    "draining": StatusWord("◐", N_("stopping"), "waiting"),
    "unknown": StatusWord("▲", N_("outcome unknown"), "warning"),
    "refused": StatusWord("✕", N_("refused"), "bad"),
    "dead_lettered": StatusWord("✕", N_("failed"), "bad"),
    "open": StatusWord("✕", N_("open"), "bad"),
    "stopped": StatusWord("✕", N_("stopped"), "bad"),
    "review": StatusWord("▲", N_("to look at"), "warning"),
    "back": StatusWord("↺", N_("came back"), "bad"),
    "new": StatusWord("▲", N_("new"), "warning"),
    "known": StatusWord("○", N_("known"), "plain"),
    "muted": StatusWord("○", N_("muted"), "plain"),
    "filtered": StatusWord("○", N_("filtered"), "plain"),
    "superseded": StatusWord("○", N_("superseded"), "plain"),
    "read-back": StatusWord("●", N_("as it left"), "good"),
    "made-again": StatusWord("◐", N_("made again"), "waiting"),
    "silent": StatusWord("✕", N_("does not answer"), "bad"),
    "nothing": StatusWord("○", N_("not known"), "plain"),
    "item-skipped": StatusWord("✕", N_("refused"), "bad"),
    "item-would": StatusWord("◷", N_("not ordered yet"), "waiting"),
    "item-ordered": StatusWord("●", N_("ordered"), "good"),
    "item-refused": StatusWord("✕", N_("refused"), "bad"),
    "order-running": StatusWord("◐", N_("going on"), "waiting"),
    "order-stopped": StatusWord("○", N_("stopped by a person"), "plain"),
    "order-second": StatusWord("▲", N_("waits for a second person"), "warning"),
    "order-declined": StatusWord("○", N_("declined"), "plain"),
    "order-asks": StatusWord("▲", N_("waits for a person"), "warning"),
    "box-chosen": StatusWord("●", N_("chosen"), "good"),
    "box-refused": StatusWord("✕", N_("may not be used"), "bad"),
    "box-left": StatusWord("○", N_("not chosen"), "plain"),
    "passed": StatusWord("●", N_("passes"), "good"),
    "failing": StatusWord("✕", N_("fails"), "bad"),
    "order-failed": StatusWord("✕", N_("failed again"), "bad"),
    "order-ended": StatusWord("○", N_("all ordered"), "plain"),
    "order-done": StatusWord("●", N_("all ordered"), "good"),
}


def status(name: str) -> StatusWord:
    """The status of that name; one that we do not know is shown as it is called."""
    return STATUSES.get(name) or StatusWord("○", name, "plain")


def attention(found: Status, config: SiteConfig, mine: Structures) -> list[Attention]:
    """What waits for a person, of what somebody with these structures may see.

    What is counted for all structures together is counted for these: here for the sinks, by `waits` for the rest.
    """
    if mine is None:
        return list(found.attention)
    hidden = {*config.feeds, *config.sinks} - names_seen(config, mine)
    whole = [
        one
        for one in found.attention
        if one.what not in _OF_ALL and one.subject not in hidden and not _names_any(one.subject, hidden)
    ]
    return [*(one for sink in sinks(found, config, mine) for one in judge.of_sink(found, sink)), *whole]


def sinks(found: Status, config: SiteConfig, mine: Structures) -> tuple[SinkView, ...]:
    """The sinks that work for these structures, with what waits there of theirs."""
    if mine is None:
        return tuple(found.sinks)
    names = names_seen(config, mine)
    return tuple(sink if _whole(config, sink, mine) else sink.of(mine) for sink in found.sinks if sink.name in names)


def _whole(config: SiteConfig, sink: SinkView, mine: frozenset[str]) -> bool:
    """Whether this sink works for these structures alone: then nothing of it is another one's."""
    others = frozenset(config.structures) - mine
    strangers = {one.structure for one in sink.standing} - mine - {""}
    return not strangers and sink.name not in names_seen(config, others)


#: What counts the things of all structures together.
_OF_ALL: Final = frozenset({judge.DEAD_LETTERS, judge.IMPACT, judge.HELD_DELIVERIES, judge.SINK})


def _names_any(certificate: str, hidden: set[str]) -> bool:
    """Whether this certificate (`mssante.b/tls`, `feed labo/mllp/tls`) is of one of these feeds or sinks."""
    return "/" in certificate and certificate.partition("/")[0].removeprefix("feed ") in hidden


def certificates(found: Status, config: SiteConfig, mine: Structures) -> list[CertificateView]:
    """Certificates of the machine, and of the feeds and sinks that somebody with these structures may see."""
    hidden: set[str] = set() if mine is None else {*config.feeds, *config.sinks} - names_seen(config, mine)
    return [one for one in found.certificates if not _names_any(one.name, hidden)]


def names_seen(config: SiteConfig, mine: Structures) -> set[str]:
    """Names of the feeds and sinks that work for these structures."""
    if mine is None:
        return {*config.feeds, *config.sinks}
    seen = {name for name, feed in config.feeds.items() if mine & set(feed.rules.structures or config.structures)}
    kinds = set(config.sink_types.values())
    for number in mine & set(config.structures):
        seen |= {sink for kind in kinds if (sink := config.structures[number].sink_of(kind))}
    return seen | {feed.reply for name, feed in config.feeds.items() if name in seen and feed.reply}
