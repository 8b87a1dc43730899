"""What the pipelines of a site take together: messages that match none of them, conditions that nothing can meet.

A document that no pipeline takes becomes a dead letter (NO-PIPELINE): said here, before one comes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from router.config.pipeline import PipelineDraft
from router.config.possible import OTHER, Case, Condition, Variable, left_out, never
from router.config.site import SiteFile
from router.errors import Problem
from router.language import filled

Where = list[str | int]


def unmatched(site: SiteFile, drafts: Sequence[PipelineDraft], *, whole: bool) -> Iterator[Problem]:
    """Messages of each feed that no pipeline takes. whole: whether every pipeline file could be read.

    Nothing is said of a feed one of whose pipelines can't be judged.
    """
    known = site.feeds or ()
    strays = any(feed not in known for draft in drafts for feed in draft.config.feeds)
    unknown = not whole or strays or any(draft.source.lost(["feed"]) for draft in drafts)
    for name, feed in site.config.feeds.items():
        path: Where = ["feeds", name]
        readers = [draft for draft in drafts if name in draft.config.feeds]
        quiet = feed.unmatched == "ignore" or (feed.kind == "adt" and feed.unmatched is None)
        if quiet or unknown or site.source.lost([*path, "kind"]):
            continue
        if not readers:
            text = "no pipeline reads this feed: each of its documents becomes a dead letter NO-PIPELINE"
            hint = filled("add a pipeline with `feed: {name}`", name=name)
            yield site.source.problem(path, text, hint, severity="warning")
            continue
        if feed.kind == "relay" and feed.unmatched is None:
            continue  # most of what it leaves aside carries no document
        conditions = [Condition.of(draft.config.when) if draft.config.when else None for draft in readers]
        judged = [one for one in conditions if one is not None]
        if len(judged) < len(readers) or any(never([one], name, feed) for one in judged):
            continue  # one takes everything, nobody can say what it takes, or it takes nothing: told at its place
        if (case := left_out(judged, name, feed)) is not None:
            text = filled(
                "none of the pipelines {names} takes a message with {value}: it becomes a dead letter NO-PIPELINE",
                names=", ".join(draft.config.name or draft.path.name for draft in readers),
                value=_shown(case, judged),
            )
            yield site.source.problem(path, text, "add a pipeline for it, or widen a `when`", severity="warning")


def impossible(site: SiteFile, draft: PipelineDraft) -> Iterator[Problem]:
    """Conditions of a pipeline that no message of its feeds meets."""
    feeds = {name: feed for name, feed in site.config.feeds.items() if name in draft.config.feeds}
    feeds = {name: feed for name, feed in feeds.items() if not site.source.lost(["feeds", name, "kind"])}
    if not feeds or len(feeds) < len(draft.config.feeds):
        return
    before: list[Condition] = []
    for path, source in draft.conditions():
        condition = Condition.of(source)
        if condition is None:
            continue
        if all(never([condition], name, feed) for name, feed in feeds.items()):
            yield draft.source.problem(path, "can never hold: no message of its feeds has these values")
        elif all(never([*before, condition], name, feed) for name, feed in feeds.items()):
            text = "can never hold here: the conditions before it leave out what it asks for"
            yield draft.source.problem(path, text)
        elif path[0] != "sinks":  # all sinks get the same exchange: none narrows what another gets
            before.append(condition)


def _shown(case: Case, conditions: Sequence[Condition]) -> str:
    return ", ".join(_value(variable, value, conditions) for variable, value in case.items())


def _value(variable: Variable, value: object, conditions: Sequence[Condition]) -> str:
    """In CEL, as the operator would write it."""
    owner, member = variable
    name = f'field("{member}")' if owner == "field" else f"{owner}.{member}"
    if value == OTHER or (isinstance(value, str) and OTHER in value):
        compared = {one for condition in conditions for one in condition.compared.get(variable, ())}
        listed = ", ".join(f'"{one}"' for one in sorted(map(str, compared)) if OTHER not in one)
        return f"!({name} in [{listed}])"
    if isinstance(value, bool):
        return name if value else f"!{name}"
    return f'{name} == "{value}"' if isinstance(value, str) else f"{name} == {value}"
