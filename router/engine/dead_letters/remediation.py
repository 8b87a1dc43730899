"""Dead letters for people: the fingerprint they are grouped by, and what to do about them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Final

Advice = Callable[[str], str]
"""Fault code -> what a person should do, in French. Upper floors may bring their own, with more codes."""

BYTES_LOST: Final = "BYTES-LOST"
NEXT: Final = (
    ("BUG-*", "Erreur du routeur : signaler l'empreinte à l'éditeur, puis rejouer après correction."),
    (BYTES_LOST, "Contenu expiré sur le bus : demander à l'émetteur de renvoyer le message."),
    ("DELIVERY", "Enregistrement illisible sur la file de sortie : vérifier qui écrit sur le bus."),
    ("PAYLOAD", "Enregistrement illisible sur la file de sortie : vérifier qui écrit sur le bus."),
    ("UNKNOWN*", "Résultat inconnu : vérifier auprès du destinataire, puis rejouer ou abandonner."),
    ("MSS-552", "Boîte pleine : prévenir le destinataire, puis rejouer."),
    ("MSS-510", "Adresse hors de l'espace de confiance, ou inconnue : la corriger chez l'émetteur, qui renverra."),
    ("MSS-*", "Vérifier l'adresse du destinataire ; corriger à la source ou rejouer."),
    (
        "DMP-XDSUnknownPatientId",
        "Le patient n'a pas de DMP : rien à corriger ; abandonner, ou rejouer s'il en ouvre un.",
    ),
    (
        "DMP-AUTHENTIFICATION",
        "Le DMP accepte la structure du site et refuse l'identité de ce message : corriger l'expéditeur (PRT SB).",
    ),
    (
        "DMP-STRUCTURE",
        "Le DMP accepte la structure du site et refuse l'identité de ce message : corriger l'expéditeur (PRT SB).",
    ),
    ("PFI-STRUCTURE", "PRT-8 n'est pas la structure du site : corriger l'expéditeur, ou les structures du flux."),
    (
        "PFI-REPLACE-UNNAMED",
        "Le N1 ne dit pas ce qu'il remplace : faire remplir relatedDocument, ou retirer l'ancien N1 par `withdraw`.",
    ),
    ("PFI-PATIENT", "Déposé sous une autre identité : le retirer avec `segur-router withdraw DOCUMENT`."),
    ("PFI-*", "Contrôle fait avant l'envoi : corriger le message chez l'émetteur, qui renverra."),
    ("DMP-*", "Lire le motif du DMP ; corriger le document à la source, puis renvoyer ou rejouer."),
    ("HL7-*", "Lire le motif de l'accusé de l'application destinataire ; corriger, puis rejouer."),
    (
        "R[0-9]*",
        "Corriger le message chez l'émetteur et le renvoyer, ou rejouer en redécidant.",
    ),
)
DEFAULT_NEXT: Final = "Lire le motif, corriger la cause, puis rejouer ou abandonner avec une raison."


def next_step(code: str) -> str:
    """What a person should do about this code; the first pattern that matches wins."""
    return next((text for pattern, text in NEXT if fnmatchcase(code, pattern)), DEFAULT_NEXT)


def cause(stage: str, where: str, code: str, place: str) -> str:
    """Fingerprint of a dead letter, 12 hex digits: same stage, same sink or pipeline, same code and place."""
    return hashlib.sha256(f"{stage}|{where}|{code}|{place}".encode()).hexdigest()[:12]
