"""The closed lists of labels that a site or the programme makes, and every counter that must begin at 0."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import product
from typing import Final

from router.cisis import rules
from router.cisis.valuesets import ValueSets
from router.config.site import Site
from router.config.site_models import SiteConfig
from router.contracts import Observer, out_topic
from router.engine.dead_letters.remediation import BYTES_LOST
from router.engine.delivery.supersession_rules import HELD
from router.measures import BUG, MEASURES, OTHER, Measure
from router.sinks.registry import SINK_TYPES

_TYPE_SETS: Final = ("JDV_J07", "JDV_J66")
"""Value sets of types of documents: CI-SIS and DMP (dmp §2.6)."""
_ENGINE: Final = (BYTES_LOST, HELD, "DELIVERY", "PAYLOAD", "REGISTER-LEG", "REGISTER-EXPIRED", BUG, OTHER)
INTAKE_CODES: Final = (*rules.TABLE, "ADT", "HL7-CHARSET", "HL7-PATH", BUG, OTHER)
"""Codes of messages that the gateway refuses."""
PIPELINE_CODES: Final = (
    *INTAKE_CODES,
    *("NO-PIPELINE", "EVENT", "STEP-SET", "SITE-STRUCTURE", "CDA-PDF", "PAYLOAD"),
    *("XDS-DTM", "XDS-METADATA", "XDS-PATIENT"),
)
"""Codes of events that pipelines refuse."""


def sink_codes(kind: str) -> tuple[str, ...]:
    """Codes of deliveries of this type that are refused or tried again."""
    return tuple(dict.fromkeys((*SINK_TYPES[kind].codes(), *_ENGINE)))


def closed_lists(site: Site) -> Mapping[str, Collection[str]]:
    """For `router.observe.metrics.Metrics`: whatever else a `code` or a `type` says is counted as `other`."""
    sets = ValueSets.load(site.config.value_sets).sets
    types = {code for name in _TYPE_SETS if name in sets for code in sets[name].by_code}
    codes = {code for kind in SINK_TYPES for code in sink_codes(kind)}
    return {"code": frozenset((*codes, *PIPELINE_CODES)), "type": frozenset(types)}


def begin_at_zero(site: Site, roles: Collection[str], observer: Observer) -> None:
    """Make every counter that these roles may write: `increase()` sees no first event of a series that begins with it.

    Counters of pipelines are made where pipelines are loaded: a reload may add one. Types of documents fire no alert.
    """
    for name, declared in MEASURES.items():
        if declared.kind == "counter" and {*declared.roles} & {*roles, "supervisor"}:
            for labels in _labels(name, site.config, roles):
                observer.count(name, 0, **labels)


def _labels(name: Measure, config: SiteConfig, roles: Collection[str]) -> Iterator[dict[str, str]]:
    if name == "dead_letters_total":
        yield from _dead_letters(config, roles)
    elif name in ("not_applicable_total", "retries_total"):
        for sink, kind in config.sink_types.items():
            yield from ({"sink": sink, "code": code} for code in sink_codes(kind))
    elif name not in ("events_total", "documents_total"):
        declared = MEASURES[name]
        values = [declared.words.get(label) or _names(label, config, roles) for label in declared.labels]
        yield from (dict(zip(declared.labels, some, strict=True)) for some in product(*values))


def _names(label: str, config: SiteConfig, roles: Collection[str]) -> Collection[str]:
    match label:
        case "feed":
            return config.feeds
        case "sink":
            return config.sinks
        case "role":
            return roles
        case "group":
            return [name for role in roles for name in _groups(role, config)]
        case "stage":  # of repeats
            by = {"gateway": ["intake"], "pipelines": ["pipeline"], "sinks": list(config.sinks)}
            return [name for role in roles for name in by.get(role, ())]
    raise LookupError(label)


def _groups(role: str, config: SiteConfig) -> list[str]:
    """Consumer groups that a role's processes are members of."""
    match role:
        case "gateway":
            return [f"raw-{name}" for name, feed in config.feeds.items() if feed.raw_topic]
        case "sinks":
            return [out_topic(name) for name in config.sinks]
    return [role]


def _dead_letters(config: SiteConfig, roles: Collection[str]) -> Iterator[dict[str, str]]:
    stages = {"gateway": ("intake", INTAKE_CODES), "pipelines": ("pipeline", PIPELINE_CODES)}
    for role, (stage, codes) in stages.items():
        if role in roles:
            for feed, code in product(config.feeds, codes):
                yield {"stage": stage, "feed": feed, "sink": "", "code": code}
    if "sinks" in roles:
        for sink, kind in config.sink_types.items():
            for code in sink_codes(kind):
                yield {"stage": "sink", "feed": "", "sink": sink, "code": code}
    if "journal" in roles:
        yield {"stage": "journal", "feed": "", "sink": "", "code": BUG}
