"""The transactions of the DMP, as a table (dmp §1.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction of the DMP: where it is called, by which action, what it answers with."""

    name: str
    path: str
    action: str
    response: str
    mtom: bool


TRANSACTIONS: Final = {
    one.action: one
    for one in (
        Transaction(
            "TD2.1",
            "repository",
            "urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-b",
            "urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-bResponse",
            True,
        ),
        Transaction(
            "TD3.1b",
            "registry",
            "urn:ihe:iti:2007:RegistryStoredQuery",
            "urn:ihe:iti:2007:RegistryStoredQueryResponse",
            False,
        ),
        Transaction(
            "TD3.3c",
            "registry",
            "urn:ihe:iti:2010:UpdateDocumentSet",
            "urn:ihe:iti:2010:UpdateDocumentSet-Response",
            False,
        ),
        Transaction(
            "TD0.2",
            "patients",
            "urn:hl7-org:v3:PRPA_IN201307UV02",
            "urn:hl7-org:v3:PRPA_IN201308UV02",
            False,
        ),
    )
}
