"""Dead letters for people: the fingerprint they are grouped by, and what to do about them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Final

Advice = Callable[[str], str]
"""Fault code -> what a person should do, in French. `advice` makes one that knows the codes of the site's sinks."""

BYTES_LOST: Final = "BYTES-LOST"
OWN: Final = (
    ("BUG-*", "Erreur du routeur : signaler l'empreinte à l'éditeur, puis rejouer après correction."),
    (BYTES_LOST, "Contenu expiré sur le bus : demander à l'émetteur de renvoyer le message."),
    ("DELIVERY", "Enregistrement illisible sur la file de sortie : vérifier qui écrit sur le bus."),
    (
        "NO-PIPELINE",
        "Aucun circuit ne prend ce message : en écrire un, ou corriger sa condition `when`, puis rejouer. "
        "Voulu pour ce flux : `unmatched: ignore` dans le fichier du site.",
    ),
    ("PAYLOAD", "Enregistrement illisible sur la file de sortie : vérifier qui écrit sur le bus."),
    ("UNKNOWN*", "Résultat inconnu : vérifier auprès du destinataire, puis rejouer ou abandonner."),
)
"""Pattern of the engine's own fault codes -> what to do."""
DEFAULT_NEXT: Final = "Lire le motif, corriger la cause, puis rejouer ou abandonner avec une raison."


def advice(more: Iterable[tuple[str, str]] = ()) -> Advice:
    """What a person should do about a code: the engine's own patterns, then `more`; the first that matches wins."""
    patterns = (*OWN, *more)
    return lambda code: next((text for pattern, text in patterns if fnmatchcase(code, pattern)), DEFAULT_NEXT)


next_step: Final[Advice] = advice()
"""This advice knows the engine's own codes alone."""


def cause(stage: str, where: str, code: str, place: str) -> str:
    """Fingerprint of a dead letter, 12 hex digits.

    Dead letters of the same stage, code and place have the same one. `where`: the sink, the pipeline, or the feed.
    """
    return hashlib.sha256(f"{stage}|{where}|{code}|{place}".encode()).hexdigest()[:12]
