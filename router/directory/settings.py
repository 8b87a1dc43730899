"""The `directory` section of the site file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from router.secret import Secret
from router.strict import Strict

LISTE_BLANCHE_URL = "https://espacedeconfiance.mssante.fr/listeblanchemssante.xml"
FHIR_URL = "https://gateway.api.esante.gouv.fr/fhir/v2"


class ListeBlancheConfig(Strict):
    """Where the liste blanche comes from, and how it is judged before it replaces the one in use (mssante §6)."""

    source: str = Field(LISTE_BLANCHE_URL, description="https address, or path of a file kept fresh by other means.")
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

    extraction: str | None = Field(
        None, description="Path or https address of `Extraction_Correspondance_MSSante` (zip or text)."
    )
    ca: Path | None = Field(None, description="PEM of the authority of that server (IGC-Santé).")
    refresh_hours: float = Field(24, gt=0, description="Hours between two imports.")
    minimum: int = Field(1000, ge=0, description="An extraction with fewer mailboxes is refused.")


class FhirConfig(Strict):
    """The FHIR interface of the annuaire santé: diagnosis only, never on the path of a message (mssante §5.1)."""

    url: str = Field(FHIR_URL, description="Base address, R4.")
    key: Secret = Field(description="Where the value of ESANTE-API-KEY is.")
    timeout: float = Field(
        30, gt=0, description="Seconds without a byte; a whole call: 10 times that, and 1 s for each 16 kB."
    )


class LocalMailbox(Strict):
    """One line of the site's own table: the only way to an organisation, a service or an application (D5)."""

    address: str = Field(description="Mailbox it is reached at.")
    application: str = Field("", description="PRT-10.1, for an application.")
    structure: str = Field("", description="FINESS of the organisation, or owner (PRT-8.6) of a service.")
    kind: str = Field("", description="PRT-8.7: UF, SVR, FINEG…; '' matches any.")
    number: str = Field("", description="PRT-8.10: number of the service; '' for the organisation itself.")


class DirectoryConfig(Strict):
    """Liste blanche, annuaire and the site's own mailboxes."""

    liste_blanche: ListeBlancheConfig = Field(default_factory=ListeBlancheConfig, description="Espace de confiance.")
    annuaire: AnnuaireConfig = Field(default_factory=AnnuaireConfig, description="Extraction of the annuaire santé.")
    fhir: FhirConfig | None = Field(None, description="FHIR interface, for `segur-router directory`.")
    mailboxes: tuple[LocalMailbox, ...] = Field((), description="Organisations, services and applications.")
