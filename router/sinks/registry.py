"""Every sink type: ours, and those of other installed packages (entry points of the group `segur_router.sinks`).

A package offers one with `[project.entry-points."segur_router.sinks"]`, `archive = "its_module:ARCHIVE"`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from router.contracts.sink_type import SinkType
from router.errors import OperatorFault
from router.plugins import installed
from router.sinks.dmp.sink_type import DMP
from router.sinks.hl7.sink_type import HL7
from router.sinks.mssante.sink_type import MSSANTE

GROUP: Final = "segur_router.sinks"
BUILT_IN: Final = (DMP, MSSANTE, HL7)


def registered(types: Iterable[SinkType]) -> dict[str, SinkType]:
    """By name. Raises `OperatorFault` for a declaration that can't work, or that takes what is another's."""
    found: dict[str, SinkType] = {}
    taken: dict[str, str] = {}
    for one in types:
        problems = one.check()
        names = [f"type {one.name}", *(f"evidence {name}" for name in one.evidence)]
        names += [f"code {one.code}"] if one.code else []
        names += [f"leg {one.answer.leg}"] if one.answer else []
        names += [f"option {name}" for name in (one.options.model_fields if one.options else ())]
        problems += [f"{name} is already that of {taken[name]}" for name in names if name in taken]
        if problems:
            raise OperatorFault("SINK-TYPE", one.name, " ; ".join(problems))
        taken |= dict.fromkeys(names, one.name)
        found[one.name] = one
    return found


SINK_TYPES: Final[Mapping[str, SinkType]] = registered((*BUILT_IN, *installed(GROUP, SinkType)))


def type_of(instance: str) -> SinkType:
    """The type of an instance (`mssante.chu`), or of a type's own name: the site file holds names to this form."""
    return SINK_TYPES[instance.partition(".")[0]]


def leg_of(instance: str) -> str:
    """How receipts name the leg of an instance, or of a type; "" when the sender is told nothing of it."""
    answer = type_of(instance).answer
    return answer.leg if answer is not None else ""


def evidence_names() -> dict[str, str]:
    """Key of evidence -> its name for operators."""
    return {key: name for one in SINK_TYPES.values() for key, name in one.evidence.items()}


def identifiers() -> tuple[str, ...]:
    """Keys of evidence by which outside systems know a delivery."""
    return tuple(dict.fromkeys(key for one in SINK_TYPES.values() for key in one.identifiers))


def remediation() -> tuple[tuple[str, str], ...]:
    """Pattern of fault codes -> what a person should do."""
    return tuple(pair for one in SINK_TYPES.values() for pair in one.remediation)


def asked() -> dict[str, tuple[str, str]]:
    """Attribute of the request -> (word in the journal, name for operators)."""
    return {wish.field: (wish.word, wish.text) for one in SINK_TYPES.values() for wish in one.asked}


def carrying_messages() -> list[str]:
    """Names of the types that take whole messages: relays and answers to senders go there."""
    return [one.name for one in SINK_TYPES.values() if one.carries == "message"]
