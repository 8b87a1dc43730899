"""One message through one pipeline file, told step by step; nothing is stored or sent: `segur-router try`.

Unlike an example it looks at the site's own register and directory, as the running router would. What is told names
fields, rules and professionals' mailboxes, never a value of the patient's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pydantic import BaseModel

from router.config.pipeline import PipelineFile
from router.contracts import Header
from router.errors import MessageFault
from router.exchange import Decision, Event, Exchange, Filtered, Origin, Receipt, Routed
from router.gateway.received import Received
from router.hl7.message import Message
from router.language import N_, _, plural, translated
from router.runtime.describe import ASKED
from router.runtime.examples import Player
from router.runtime.pipelines import Compiled
from router.runtime.site_services import SiteServices

Style = Literal["good", "warning", "bad", "plain"]
_MOST_CHANGES: Final = 8


@dataclass(frozen=True, slots=True)
class Effect:
    """What one stage did: sentences, the worst of which gives `style`. `ends`: nothing comes after it."""

    stage: str
    lines: tuple[str, ...] = ()
    style: Style = "plain"
    ends: bool = False


@dataclass(slots=True)
class DryRun:
    """The stages in order; `reached`: whether at least one delivery would be made."""

    effects: list[Effect] = field(default_factory=list)
    reached: bool = False


def run_dry(services: SiteServices, file: PipelineFile, feed: str, data: bytes) -> DryRun:
    """Play a message as if it came by MLLP on `feed`. Raises `Unavailable` when register or directory are away."""
    told = DryRun()
    for effect in _stages(services, file, feed, data, told):
        told.effects.append(effect)
        if effect.ends:
            break
    return told


def _stages(services: SiteServices, file: PipelineFile, feed: str, data: bytes, told: DryRun) -> Iterator[Effect]:
    player = Player(services)
    try:
        message = Message.parse(data)
    except MessageFault as fault:
        yield _refused("gateway", fault)
        return
    verdict = player.check(feed, Received(data=data, source="mllp", at=services.clock.now()), message)
    if verdict.faults:
        faults = tuple(f"AE {one.rule} {one.err.location}: {translated(one.err.text)}" for one in verdict.faults)
        yield Effect("gateway", faults, "bad", ends=True)
        return
    lines = ("AA", *map(translated, verdict.warnings))
    yield Effect("gateway", lines, "warning" if verdict.warnings else "good")
    headers = {Header.CHECKED: verdict.checked, Header.RECEIVED: f"{services.clock.now():.3f}"}
    exchange = Exchange(Event("0" * 32, feed, verdict.key, data, headers, Origin(f"in.{feed}", 0, 0)))
    yield from _pipeline(player.compiled(file, feed), file, exchange, told, known=verdict.warnings)


def _pipeline(
    pipeline: Compiled, file: PipelineFile, exchange: Exchange, told: DryRun, known: Sequence[str]
) -> Iterator[Effect]:
    """`parse`, the condition, each step, the route."""
    try:
        parsed = pipeline.parse(exchange)
        yield Effect("parse", (_asked(parsed), *_decided(exchange, parsed, known)))
        if pipeline.when is not None:
            wanted = pipeline.when(parsed)
            template = N_("{condition} is true") if wanted else N_("{condition} is false")
            sentence = _(template, condition=pipeline.when.source)
            yield Effect("when", (sentence,), "good" if wanted else "warning", ends=not wanted)
        exchange = parsed
        for config, step in zip(file.config.steps, pipeline.steps, strict=True):
            result = step(exchange)
            if isinstance(result, Filtered):
                yield Effect(
                    config.name, (_("filtered: {reason}", reason=translated(result.reason)),), "warning", ends=True
                )
                return
            lines = (*_decided(exchange, result), *_changes(exchange, result))
            yield Effect(config.name, lines or (_("nothing changed"),))
            exchange = result
        routed = pipeline.route(exchange)
    except MessageFault as fault:
        yield _refused("pipeline", fault)
        return
    told.reached = bool(routed.deliveries)
    yield _routed(routed)


def _refused(stage: str, fault: MessageFault) -> Effect:
    where = f" {fault.place}" if fault.place else ""
    return Effect(stage, (f"{fault.code}{where}: {translated(fault.text)}",), "bad", ends=True)


def _routed(routed: Routed) -> Effect:
    lines = [f"{delivery.sink} → {delivery.label}" for delivery in routed.deliveries]
    lines += [_refusal(one) for one in routed.receipts]
    style: Style = "warning" if routed.receipts else "good"
    return Effect("route", tuple(lines) or (_("nobody"),), style if lines else "warning")


def _refusal(one: Receipt) -> str:
    served = _("{sink}: {label} not served, {code}", sink=one.sink, label=one.label, code=one.code)
    return f"{served}: {translated(one.text)}"


def _asked(exchange: Exchange) -> str:
    """What the sender asked, as `explain` words it; a relay has no request."""
    request = exchange.request
    if request is None:
        return _("read, nothing asked: a relay")
    asked = ", ".join(word for name, word in ASKED.items() if getattr(request, name)) or _("nothing")
    types = ", ".join(f"{one.code.code} (N{one.level})" for one in request.documents)
    recipients = plural("{count} recipient", "{count} recipients", len(request.recipients))
    head = _("volet {dialect}, {action}; asks {asked}", dialect=request.dialect, action=request.action, asked=asked)
    return f"{head}; {types}; {recipients}"


def _decided(before: Exchange, after: Exchange, known: Sequence[str] = ()) -> list[str]:
    """Decisions that a step added, without those that repeat a warning of the gateway."""
    new: Sequence[Decision] = after.decisions[len(before.decisions) :]
    sentences = (f"{one.code}: {one.text}" if one.code else one.text for one in new)
    return [translated(sentence) for sentence in sentences if sentence not in known]


def _changes(before: Exchange, after: Exchange) -> list[str]:
    """Names of what a step changed, without values."""
    names = list(_different(before.request, after.request, "request"))
    if before.body != after.body:
        names.append(_("the message's bytes"))
    if not names:
        return []
    more = " " + _("and {count} more", count=len(names) - _MOST_CHANGES) if len(names) > _MOST_CHANGES else ""
    return [_("changed: {names}", names=", ".join(names[:_MOST_CHANGES])) + more]


def _different(before: Any, after: Any, name: str) -> Iterator[str]:
    """Paths of the fields that differ: `request.recipients[0].address`."""
    if before == after:
        return
    if isinstance(before, BaseModel) and isinstance(after, BaseModel) and type(before) is type(after):
        for one in type(before).model_fields:
            yield from _different(getattr(before, one), getattr(after, one), f"{name}.{one}")
    elif isinstance(before, tuple) and isinstance(after, tuple) and len(before) == len(after):
        for rank, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from _different(old, new, f"{name}[{rank}]")
    else:
        yield name
