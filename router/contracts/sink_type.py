"""What a sink package says of its type, once. The site file, the route, feedback, journal and engine read it here.

`router.sinks.registry` holds every type: ours, and those of other packages that are installed beside the router.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import BaseModel

from router.contracts.peers import Peer
from router.contracts.sinks import Sink
from router.exchange import Delivery, Pseudonyms
from router.request import Recipient, TransmissionRequest
from router.strict import Strict
from router.structures import StructureConfig

Carries = Literal["documents", "message"]
Expects = Literal["outcome", "recipients", "instances"]
C = TypeVar("C", bound="SinkSettings")


class SinkSettings(Strict):
    """Base of every sink type's configuration. The two fields below are the subclass's own: it describes them."""

    if TYPE_CHECKING:
        type: str
        """`Literal["<name of the type>"] = "<name of the type>"`."""
        connections: int
        """Deliveries that the sink makes at the same time."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One destination that a request asks of a sink type."""

    destination: str
    """Stands in the delivery's id, so it never changes: `dmp`, `mss:<pseudonym of the address>`."""
    label: str
    """What operators read: never an identity of the patient."""
    lane: str | None = None
    """The queue of this destination; None: one queue for each structure (its FINESS)."""
    recipient: Recipient | None = field(default=None, repr=False)
    """The one recipient of this delivery, if it has one."""
    refusal: tuple[str, str] | None = None
    """Code and sentence: a rule forbids this destination, and the sender is told so instead (decisions D5)."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A wish of the sender that this type fulfils."""

    field: str
    """The attribute of `TransmissionRequest` that is true when it is asked."""
    word: str
    """In the journal (`JournalEntry.asked`): stored, so it never changes."""
    text: str
    """What operators read (French)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The business acknowledgement that the outcome of a delivery is worth (hl7-input §4.2)."""

    leg: str
    """In the context of receipts (`router.payload.reply_context`): stored, so it never changes."""
    event: str
    """`Z01` or `Z02`: the event of the ZAM that tells this outcome."""


def no_legs(_request: TransmissionRequest, _pseudonyms: Pseudonyms) -> Iterator[Leg]:
    """For a type that takes whole messages: its one destination is the instance itself."""
    return iter(())


@dataclass(frozen=True, slots=True)
class Unsafe:
    """A value of the site file with which an environment must not run."""

    key: str
    """Its place below the sink: `mode`, `imap.mode`."""
    text: str
    hint: str = ""
    """What to write instead."""
    code: str = ""
    """Of the fault with which the sink refuses it."""


def no_certificates(_settings: SinkSettings) -> Mapping[str, Path]:
    """For a type whose certificates name no structure."""
    return {}


def nothing_loaded(_settings: SinkSettings) -> Mapping[str, Callable[[], object]]:
    """For a type that reads no file."""
    return {}


def nothing_unsafe(_settings: SinkSettings, _environment: str) -> Iterable[Unsafe]:
    """For a type every configuration of which may run in every environment."""
    return ()


def no_peers(_settings: SinkSettings) -> Iterable[Peer]:
    """For a type whose server `doctor` can't try."""
    return ()


def no_codes() -> Iterable[str]:
    """For a type whose faults are all counted as `other`."""
    return ()


Again = Callable[[str, Any, Any, Delivery, float], Coroutine[Any, Any, bytes]]
"""(instance, settings, `router.sinks.tools.Tools`, delivery with its payload, Unix time of its first try) -> the bytes.

Raises `RouterError` as the sink would before it sends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkType:
    """One kind of outside system. `check` says what of a declaration can't work."""

    name: str
    """In the site file: `type: <name>`, and the first part of an instance's name (`<name>.<instance>`)."""
    settings: type[SinkSettings]
    """The configuration of an instance: plain data, every field described. It must not import the sink."""
    open: Callable[[str, Any, Any], Sink]
    """(instance, settings, `router.sinks.tools.Tools`) -> the sink, imported only now. Raises `OperatorFault`."""
    again: Again | None = None
    """What an instance sends for a delivery, made once more for a person who looks: nothing is sent. None: it can't."""
    carries: Carries
    """`documents`: a payload of `router.payload` for each leg of a request; `message`: every message as it is."""
    legs: Callable[[TransmissionRequest, Pseudonyms], Iterator[Leg]] = no_legs
    """`documents` only: the destinations that a request asks of this type, refused ones included. Pure."""
    asked: tuple[Asked, ...] = ()
    """Wishes of the sender. A leg that no pipeline serves is told to the sender only when this says something: without
    it the type serves a wish of the site."""
    answer: Answer | None = None
    """What feedback tells the sender of an outcome; None: nothing."""
    code: str = ""
    """Start of this type's fault codes (`MSS` of `MSS-550`). What the sender is told comes without it."""
    codes: Callable[[], Iterable[str]] = no_codes
    """Fault codes that metrics count by name, each from 0; any other is counted as `other`."""
    own: tuple[str, ...] = ()
    """Patterns of codes that begin with `code` and are names of the router's: nobody outside answered them."""
    structure: str = ""
    """`documents` only: description of the key of `structures` that names the instance (the key is `name`). "": no
    such key, so a pipeline names the instance."""
    one_structure: bool = False
    """Whether an instance speaks for one structure only, the one that names it (its certificates say so)."""
    certificates: Callable[[Any], Mapping[str, Path]] = no_certificates
    """(settings) -> key of the site file and file of each certificate that must be the structure's own."""
    unsafe: Callable[[Any, str], Iterable[Unsafe]] = nothing_unsafe
    """(settings, environment) -> what that environment forbids in this configuration (decisions D9, D12)."""
    loads: Callable[[Any], Mapping[str, Callable[[], object]]] = nothing_loaded
    """(settings) -> key of the site file and how the sink reads the files there (`OperatorFault` when it can't), so
    that `check` may do it before."""
    peers: Callable[[Any], Iterable[Peer]] = no_peers
    """(settings) -> the servers that an instance talks to, with the TLS that it would use."""
    needs: Mapping[str, str] = field(default_factory=dict)
    """Field that a structure with such an instance must have -> what is wrong without it."""
    options: type[BaseModel] | None = None
    """Keys of a pipeline's `sinks` entry that this type alone takes; they reach the sink in `DocumentOrder.options`."""
    expects: Expects = "outcome"
    """How a pipeline's example says what it must reach: `outcome` (`delivered`, or a code), `recipients` (labels), or
    `instances` (names of sinks)."""
    expectation: str = ""
    """Description of that key of an example; "": a sentence made from `expects`."""
    directory: bool = False
    """Whether its sinks ask the directory (espace de confiance), which is then kept fresh."""
    evidence: Mapping[str, str] = field(default_factory=dict)
    """Key of `Outcome.evidence` -> its name for operators (French), shown as proof of the delivery."""
    identifiers: tuple[str, ...] = ()
    """Keys of `Outcome.evidence` by which `explain` finds an event: outside systems know the delivery by them."""
    remediation: tuple[tuple[str, str], ...] = ()
    """Pattern of fault codes -> what a person should do (French). The first pattern that matches wins."""

    def check(self) -> list[str]:
        """What of this declaration can't work, in sentences."""
        problems = []
        if not self.name.isidentifier() or self.name != self.name.lower():
            problems.append("its name is not a word in lower case")
        tag = self.settings.model_fields.get("type")
        if tag is None or tag.default != self.name:
            problems.append(f'its settings need `type: Literal["{self.name}"] = "{self.name}"`')
        if "connections" not in self.settings.model_fields:
            problems.append("its settings need `connections`, the deliveries that it makes at the same time")
        if (self.carries == "documents") is (self.legs is no_legs):
            problems.append("it has `legs` if it carries documents, and none if it carries messages")
        if self.carries == "message" and (self.structure or self.options or self.asked or self.answer):
            problems.append("it carries messages: no structure, no options, no wishes, no answer")
        if self.name in (*StructureConfig.model_fields, "ack", "fault", "refused", "filtered"):
            problems.append("its name is already a key of the site file's structures, or of an example")
        return problems
