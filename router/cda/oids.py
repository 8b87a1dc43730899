"""The OIDs that a French CDA header uses, as facts (volet Structuration minimale, annexe INS)."""

from __future__ import annotations

from typing import Final

NAMESPACE: Final = "urn:hl7-org:v3"

#: Identité nationale de santé: NIR, NIA, and the NIRs of test and demonstration.
INS_NIR: Final = "1.2.250.1.213.1.4.8"
INS_NIA: Final = "1.2.250.1.213.1.4.9"
INS_TEST: Final = "1.2.250.1.213.1.4.10"
INS_DEMO: Final = "1.2.250.1.213.1.4.11"

#: In the order in which we prefer them when a patient has several (PAM-FR §6.6.1: the NIR wins).
INS_OIDS: Final[tuple[str, ...]] = (INS_NIR, INS_NIA, INS_TEST, INS_DEMO)

#: INS-C, computed from traits and withdrawn: never an INS.
INS_C_OIDS: Final = frozenset({"1.2.250.1.213.1.4.2", "1.2.250.1.213.1.4.6", "1.2.250.1.213.1.4.7"})

#: Social security numbers as written in some CDA: billing data, neither an INS nor an IPP.
SOCIAL_SECURITY_OIDS: Final = frozenset({"1.2.250.1.213.1.4.13", "1.2.250.1.213.1.4.14"})

#: PS_IdNat and Struct_IdNat (dmp §2.1).
PROFESSIONALS: Final = "1.2.250.1.71.4.2.1"
STRUCTURES: Final = "1.2.250.1.71.4.2.2"

#: Section "Copie du document" of an N3 (hl7-input §6.3): the only place whose PDF is the document itself.
PDF_COPY_SECTION: Final = "1.2.250.1.213.1.1.2.243"
PDF_COPY_CODE: Final = "55108-5"
PDF_COPY_ORGANIZER: Final = "1.2.250.1.213.1.1.3.18"
