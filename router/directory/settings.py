"""The `directory` section of the site file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from router.directory.addresses import addr_spec, idna
from router.directory.mailboxes import SourceName, rpps
from router.request import PATIENT_DOMAINS
from router.secret import Secret
from router.strict import FILE_OR_ADDRESS, Strict

LISTE_BLANCHE_URL = "https://espacedeconfiance.mssante.fr/listeblanchemssante.xml"
FHIR_URL = "https://gateway.api.esante.gouv.fr/fhir/v2"


def _rpps(text: str) -> str:
    number = rpps(text)
    if text and not number:
        raise ValueError("is no RPPS of 11 digits")
    return number


def _lower(text: str) -> str:
    return addr_spec(text).lower()


class ListeBlancheConfig(Strict):
    """Where the liste blanche comes from, and how it is judged before it replaces the one in use (mssante §6)."""

    source: Annotated[str, FILE_OR_ADDRESS] = Field(
        LISTE_BLANCHE_URL, description="https address, or path of a file kept fresh by other means."
    )
    ca: Path | None = Field(None, description="PEM of the authority of the server (IGC-Santé); needed for https.")
    refresh_hours: float = Field(24, gt=0, description="Hours between two readings; up to a tenth is added at random.")
    minimum: int = Field(1000, ge=1, description="A list with fewer names is refused (the real one has over 8,000).")
    always: tuple[str, ...] = Field(("patient.mssante.fr",), description="Domains admitted whatever the list says.")
    absent: Literal["laisser-passer", "bloquer"] = Field(
        "bloquer", description="What is decided while no list was ever read."
    )
    retest_seconds: float = Field(
        300, ge=0, description="Least time between two refreshes that one refused domain forces."
    )


class AnnuaireConfig(Strict):
    """The extraction of the annuaire santé, read into a local database (mssante §5.2)."""

    extraction: Annotated[str | None, FILE_OR_ADDRESS] = Field(
        None, description="Path or https address of `Extraction_Correspondance_MSSante` (zip or text)."
    )
    ca: Path | None = Field(None, description="PEM of the authority of that server (IGC-Santé).")
    refresh_hours: float = Field(24, gt=0, description="Hours between two imports.")
    minimum: int = Field(1000, ge=0, description="An extraction with fewer mailboxes is refused.")
    least_percent: float = Field(
        80,
        ge=0,
        le=100,
        description="An extraction with fewer than so many percent of the mailboxes in use is refused.",
    )
    no_demat: tuple[str, ...] = Field(
        ("N", "NON", "FALSE", "0"), description="Values of column 18 that mean: no documents without paper (UNSURE)."
    )


class FhirConfig(Strict):
    """The FHIR interface of the annuaire santé (mssante §5.1). It is asked of messages only when `sources` names it."""

    url: str = Field(FHIR_URL, description="Base address, R4.")
    key: Secret = Field(description="Where the value of ESANTE-API-KEY is.")
    ca: Path | None = Field(None, description="PEM of the authority of that server; default: the system's.")
    timeout: float = Field(10, gt=0, description="Seconds for one look-up, with all its pages and repeats.")
    calls_per_second: float = Field(
        15, gt=0, description="Calls of the whole site; the server allows 17 (mssante §5.1)."
    )
    ttl_hours: float = Field(24, gt=0, description="How long an answer is used without asking again.")
    empty_ttl_minutes: float = Field(60, gt=0, description="The same, for the answer that nobody is known.")
    stale_days: float = Field(
        7,
        ge=0,
        description="How old an answer may be that is used because the server can't answer; never an empty one.",
    )
    pause_seconds: float = Field(30, ge=0, description="After a failure the server is left alone for so long.")

    @field_validator("url")
    @classmethod
    def _secure(cls, url: str) -> str:
        if not url.startswith(("https://", "http://127.0.0.1:", "http://localhost:")):
            raise ValueError("must be https: the key travels with every call")
        return url


class LocalMailbox(Strict):
    """One line of the site's own table: the only way to an organisation, a service or an application (D5)."""

    address: Annotated[str, AfterValidator(addr_spec)] = Field(description="Mailbox it is reached at.")
    rpps: Annotated[str, AfterValidator(_rpps)] = Field(
        "", description="A professional, 11 digits; `structure` then says where he practises."
    )
    application: str = Field("", description="PRT-10.1, for an application.")
    structure: str = Field("", description="FINESS of the organisation, or owner (PRT-8.6) of a service.")
    kind: str = Field("", description="PRT-8.7: UF, SVR, FINEG…; '' matches any.")
    number: str = Field("", description="PRT-8.10: number of the service; '' for the organisation itself.")


class ChoiceConfig(Strict):
    """Which mailbox of a professional may be used, and which one when he has several (mssante §4.2, decisions D5).

    A rule only ever leaves out; when more than one is left at the end, nobody guesses (`ambiguous` of `look_up`).
    """

    types: tuple[Literal["PER", "CAB", "ORG", "APP"], ...] = Field(
        ("PER", "CAB"),
        description="Types (JDV_J139) that may be used for a professional; the site's own table may name any.",
    )
    exclude_addresses: tuple[Annotated[str, AfterValidator(_lower)], ...] = Field(
        (), description="Mailboxes that are never chosen."
    )
    exclude_domains: tuple[Annotated[str, AfterValidator(idna)], ...] = Field(
        (), description="Domains whose mailboxes are never chosen."
    )
    patient_domains: tuple[Annotated[str, AfterValidator(idna)], ...] = Field(
        PATIENT_DOMAINS, description="Domains of the patients' mailboxes: never that of a professional, of any source."
    )
    dematerialisation: Literal["refuse-no", "require-yes", "ignore"] = Field(
        "refuse-no",
        description="A mailbox whose owner wants no documents without paper: left out when it says so; "
        "`require-yes`: left out unless it says that it takes them.",
    )
    prefer: tuple[Literal["place", "organisational", "rank"], ...] = Field(
        ("place", "rank"),
        description="Applied in this order while several are left. place: those of the structure that the message "
        "names. organisational: those of a practice or organisation (CAB, ORG) before personal ones. rank: the one "
        "that the annuaire publishes as preferred.",
    )


class CheckConfig(Strict):
    """The comparison of what is configured with annuaire and liste blanche (`segur-router directory check`)."""

    enabled: bool = Field(True, description="Whether the running router compares every night.")
    hour: int = Field(3, ge=0, le=23, description="Hour of the day, local time, from which it does.")


class DirectoryConfig(Strict):
    """Liste blanche, annuaire and the site's own mailboxes."""

    liste_blanche: ListeBlancheConfig = Field(default_factory=ListeBlancheConfig, description="Espace de confiance.")
    annuaire: AnnuaireConfig = Field(default_factory=AnnuaireConfig, description="Extraction of the annuaire santé.")
    fhir: FhirConfig | None = Field(None, description="FHIR interface of the annuaire santé.")
    mailboxes: tuple[LocalMailbox, ...] = Field(
        (), description="The site's own table: organisations, services, applications, and professionals by RPPS."
    )
    sources: tuple[SourceName, ...] = Field(
        ("table", "extraction"),
        description="Where a professional's mailbox is looked up, in this order: the first one that knows a mailbox "
        "that may be used answers. One that is not configured is passed over.",
    )
    professions: tuple[Literal["extraction", "fhir"], ...] = Field(
        ("extraction",),
        description="Where the profession of a sender is looked up. Every message asks: fhir costs a call for each "
        "sender whose answer is not kept, and its time-out when it is away.",
    )
    choice: ChoiceConfig = Field(default_factory=ChoiceConfig, description="Which of several mailboxes is used.")
    patience_hours: float = Field(
        24,
        ge=0,
        description="How long a message waits, and the messages of its feed behind it, for a directory that can't "
        "answer; then this recipient is refused and the sender is told (Z02 `N` 451).",
    )
    check: CheckConfig = Field(default_factory=CheckConfig, description="Nightly comparison.")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if "fhir" in (*self.sources, *self.professions) and self.fhir is None:
            raise ValueError("`sources` or `professions` names fhir, and there is no `fhir`")
        if len(set(self.sources)) != len(self.sources):
            raise ValueError("`sources` names one twice")
        return self
