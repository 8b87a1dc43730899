"""What people should do about a dead letter, by its code."""

from __future__ import annotations

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
