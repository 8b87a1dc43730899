"""How a simulated DMP behaves, and what it tells of each call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from router.simulators.authority import Certificates
from router.simulators.dmp.registry import PatientState


@dataclass(frozen=True, slots=True)
class DmpConfig:
    """How the DMP behaves. `certificates` None means plain HTTP and no trust in any authority: unit tests only.

    structures: Struct_IdNat it knows, None for all. patients: matricule -> `closed` or `none`; the others have an
    open DMP. multipart: when answers come as multipart/related, as the real one's do now and then. checks: `all`;
    `metadata` leaves out the comparison with the CDA; `none` only counts the lots, for benchmarks: who runs them
    doesn't want to measure a DMP. Ages in seconds.
    """

    certificates: Certificates | None = None
    host: str = "127.0.0.1"
    port: int = 0
    control_port: int | None = 0
    structures: frozenset[str] | None = None
    patients: Mapping[str, PatientState] = field(default_factory=dict)
    multipart: Literal["never", "faults", "always"] = "faults"
    vihf_max_age: float = 300.0
    clock_skew: float = 5.0
    deleted_visible: bool = False
    checks: Literal["all", "metadata", "none"] = "all"
    keep_content: bool = True
    dump: Path | None = None
    """A folder for the requests as received."""


@dataclass(frozen=True, slots=True)
class Received:
    """One call, in the order of arrival. `patient` is a pseudonym; `code` the first error, "" when it went well."""

    sequence: int
    at: float
    transaction: str
    ok: bool
    code: str
    context: str
    set_id: str
    documents: tuple[str, ...]
    replaced: tuple[str, ...]
    patient: str
    structure: str
    author: str
    answered: bool
    """False when the connection was cut after the work was done, or a page answered: the caller can't know."""
