"""What the router needs to know of the DMP as a sink type."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from urllib.parse import urlsplit

from router.contracts import Sink
from router.contracts.peers import Peer
from router.contracts.sink_type import Answer, Asked, Leg, SinkType
from router.exchange import Pseudonyms
from router.request import TransmissionRequest
from router.sinks.dmp.codes import codes
from router.sinks.dmp.safety import unsafe
from router.sinks.dmp.settings import LEG, DmpConfig
from router.sinks.tools import Tools


def _open(name: str, settings: DmpConfig, tools: Tools) -> Sink:
    """Raises `OperatorFault` when a certificate can't be used or environments disagree (D9)."""
    from router.sinks.dmp.sink import DmpSink

    return DmpSink(name, settings, tools)


def _legs(request: TransmissionRequest, _pseudonyms: Pseudonyms) -> Iterator[Leg]:
    """The DMP of the patient: one destination, in a lane for each structure."""
    if request.dmp:
        yield Leg("dmp", "DMP", refusal=request.dmp_inadmissible)


def _loads(settings: DmpConfig) -> Mapping[str, Callable[[], object]]:
    """The two certificates as the sink reads them."""
    from router.sinks.dmp.credentials import load_identity, load_seal

    return {"auth": partial(load_identity, settings), "sign": partial(load_seal, settings.sign)}


def _peers(settings: DmpConfig) -> Iterator[Peer]:
    """The DMP, or the proxy on the way to it, which is reached in clear."""
    if settings.proxy:
        yield _at(settings.proxy, 8080, key="proxy")
        return

    def context() -> ssl.SSLContext:
        from router.sinks.dmp.credentials import load_identity

        return load_identity(settings).context

    yield replace(_at(settings.url, 443), tls=context)


def _at(url: str, port: int, key: str = "") -> Peer:
    parts = urlsplit(url if "//" in url else f"//{url}")
    return Peer(parts.hostname or "", parts.port or port, key)


DMP = SinkType(
    name="dmp",
    settings=DmpConfig,
    open=_open,
    loads=_loads,
    carries="documents",
    legs=_legs,
    asked=(Asked("dmp", "dmp", "DMP"),),
    answer=Answer(LEG, "Z01"),
    code="DMP",
    peers=_peers,
    codes=codes,
    own=(
        *("DMP-ADDRESS", "DMP-ANSWER-SIZE", "DMP-CERT-*", "DMP-CONNECT", "DMP-CRL", "DMP-CUT", "DMP-ENVIRONMENT"),
        *("DMP-FAULT-*", "DMP-HTML", "DMP-HTTP-*", "DMP-INCONNU", "DMP-KEEP", "DMP-NF", "DMP-PARTIAL", "DMP-RATE"),
        *("DMP-RELATES-TO", "DMP-TABLE", "DMP-TIMEOUT", "DMP-TLS*"),
        # Faults of the DMP that have a text and no code (`faults.csv`).
        *("DMP-AUTHENTIFICATION", "DMP-AUTHOR_INSTITUTION", "DMP-PS_STRUCTURE", "DMP-SPECIALITE", "DMP-STRUCTURE"),
    ),
    one_structure=True,
    certificates=lambda settings: {
        "auth.certificate": settings.auth.certificate,
        "sign.certificate": settings.sign.certificate,
    },
    unsafe=unsafe,
    structure="Sink instance that feeds its DMP documents (`dmp.chu`).",
    expects="outcome",
    expectation="`delivered`, or the code with which the DMP leg is refused.",
    evidence={"xds_unique_id": "document", "submission_set": "lot", "soap_sha256": "SHA-256 de la requête"},
    identifiers=("xds_unique_id", "xds_unique_ids", "submission_set"),
    remediation=(
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
            "Le N1 ne nomme pas ce qu'il remplace : faire remplir relatedDocument, ou retirer l'ancien (`withdraw`).",
        ),
        ("PFI-PATIENT", "Déposé sous une autre identité : le retirer avec `segur-router withdraw DOCUMENT`."),
        ("PFI-*", "Contrôle fait avant l'envoi : corriger le message chez l'émetteur, qui renverra."),
        ("DMP-*", "Lire le motif du DMP ; corriger le document à la source, puis renvoyer ou rejouer."),
    ),
)
