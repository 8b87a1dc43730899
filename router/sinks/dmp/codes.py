"""The codes of the DMP's faults that metrics count by name: those of our tables, and those that we give ourselves."""

from __future__ import annotations

import csv
from importlib.resources import files
from typing import Final

_OWN: Final = """
DMP-ADDRESS DMP-ANSWER-SIZE DMP-AUTHENTIFICATION DMP-CERT-AUTH DMP-CERT-SIGN DMP-CERT-STRUCTURE DMP-CONNECT DMP-CRL
DMP-CUT DMP-ENVIRONMENT DMP-HTML DMP-INCONNU DMP-KEEP DMP-NF DMP-PARTIAL DMP-RATE DMP-RELATES-TO DMP-STRUCTURE
DMP-TABLE DMP-TIMEOUT DMP-TLS DMP-TLS-SERVER
DMP-HTTP-400 DMP-HTTP-401 DMP-HTTP-403 DMP-HTTP-404 DMP-HTTP-405 DMP-HTTP-408 DMP-HTTP-413 DMP-HTTP-415 DMP-HTTP-429
DMP-HTTP-500 DMP-HTTP-502 DMP-HTTP-503 DMP-HTTP-504 DMP-FAULT-Sender DMP-FAULT-Receiver
PFI-ACTION PFI-AUTHOR PFI-AUTHOR-STRUCTURE PFI-CLASS PFI-DELETE-ABSENT PFI-DELETE-DOUBT PFI-DESTDMP PFI-DOCUMENT
PFI-EXTENSION PFI-FORMAT PFI-FUTURE PFI-HASH PFI-ID PFI-INS PFI-INS-CDA PFI-INS-FIRST PFI-INS-KEY PFI-INS-OID PFI-LEGAL
PFI-MASKS PFI-MEDIA PFI-METADATA PFI-NOT-YET PFI-PATIENT PFI-R39 PFI-REPLACE-ABSENT PFI-REPLACE-UNNAMED PFI-RESTRICTED
PFI-ROLE PFI-SAME-ID PFI-SECRET PFI-SENDER PFI-SIZE PFI-STRUCTURE PFI-VALUE-SET PFI-XML XDS-DTM XDS-METADATA XDS-PATIENT
"""


def rows(name: str) -> list[list[str]]:
    """Lines of one of our CSV tables, without comments."""
    lines = (files("router.sinks.dmp") / name).read_text(encoding="utf-8").splitlines()
    return list(csv.reader(line for line in lines if line and not line.startswith("#")))


def codes() -> tuple[str, ...]:
    """Each one once."""
    named = [f"DMP-{code}" for code, _kind, _sentence in rows("verdicts.csv")]
    named += [f"DMP-{code}" for _words, code in rows("faults.csv")]
    return tuple(dict.fromkeys((*named, *_OWN.split())))
