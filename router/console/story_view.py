"""One message as a person reads it: what became of each leg, its story, the rules that spoke, the decisions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from router.cisis.rule import Rule
from router.cisis.rules import TABLE
from router.console.row_view import Leg, leg
from router.journal.views import EventStory
from router.language import translated
from router.runtime.wording import ADVICE

_ANSWER = "ZAM^"
_RULE = re.compile(r"(R\d{2,3})\b[ :]*(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One leg: how it stands, since when (Unix seconds), and what a person should do when it failed."""

    leg: Leg
    at: float
    delivery_id: str
    pipeline: str
    advice: str = ""
    answer: bool = False
    """It is an answer to the sender."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """A rule that spoke of this message: what was said, and what the rule is."""

    code: str
    text: str
    rule: Rule | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """One decision: who took it, its reason."""

    step: str
    code: str
    text: str


def verdicts(story: EventStory) -> Iterator[Verdict]:
    """Every delivery, those to the sender last."""
    ordered = sorted(story.deliveries, key=lambda one: (one.label.startswith(_ANSWER), one.sink, one.label))
    for one in ordered:
        failed = one.disposition == "dead_lettered"
        yield Verdict(
            leg=leg(one),
            at=one.at,
            delivery_id=one.delivery_id,
            pipeline=one.pipeline,
            advice=translated(ADVICE(one.code)) if failed and one.code else "",
            answer=one.label.startswith(_ANSWER),
        )


def rules(story: EventStory) -> Iterator[Spoken]:
    """The rules that refused or warned, in the order in which they spoke."""
    seen = set()
    for moment in story.timeline:
        if moment.kind not in ("warning", "refused", "dead", "decision"):
            continue
        found = _RULE.match(f"{moment.code} {moment.text}".strip() if moment.code.startswith("R") else moment.text)
        if found and (found[1], found[2]) not in seen:
            seen.add((found[1], found[2]))
            yield Spoken(code=found[1], text=translated(found[2]), rule=TABLE.get(found[1]))


def decisions(story: EventStory) -> Iterator[Chosen]:
    """What steps and routes chose, and why."""
    for moment in story.timeline:
        if moment.kind in ("decision", "decided", "filtered"):
            yield Chosen(step=moment.where, code=moment.code, text=translated(moment.text))
