"""The FHIR interface of the annuaire santé (R4): an operator's diagnosis, never on a message's path (mssante §5.1).

A mailbox is a `telecom` whose first extension says MSSANTE; it stands on Practitioner (RPPS alone), PractitionerRole
(RPPS in a structure) or Organization. Red-listed ones are not shown.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import httpx

from router.directory.addresses import addr_spec
from router.directory.annuaire import Mailbox
from router.directory.http import get
from router.directory.settings import FhirConfig
from router.errors import Malformed, OperatorFault, Unavailable
from router.language import filled
from router.tls import client_context

_MESSAGING: Final = "https://hl7.fr/ig/fhir/core/StructureDefinition/fr-core-contact-point-email-type"
_METADATA: Final = "https://interop.esante.gouv.fr/ig/fhir/annuaire/StructureDefinition/as-ext-mailbox-mss-metadata"
_FINESS: Final = "https://finess.esante.gouv.fr"
_PAGES: Final = 20
_LIMIT: Final = 8 * 2**20
"""Bytes of one page at most."""


class FhirAnnuaire:
    """Asks the national server. Blocking, limited there to 17 calls per second."""

    def __init__(self, config: FhirConfig) -> None:
        self._config = config

    def mailboxes(self, *, rpps: str = "", finess: str = "") -> tuple[Mailbox, ...]:
        """The mailboxes of a professional (11 digits), or of a structure (9 digits).

        Raises `Unavailable` (server away, too many calls), `OperatorFault` (key refused), `Malformed` (not FHIR).
        """
        if rpps:
            kind, query = "Practitioner", {"identifier": rpps, "_revinclude": "PractitionerRole:practitioner"}
        else:
            kind, query = "Organization", {"identifier": finess}
        headers = {"ESANTE-API-KEY": self._config.key.read(), "Accept": "application/fhir+json"}
        found: dict[tuple[str, str], Mailbox] = {}
        try:
            first = httpx.URL(f"{self._config.url.rstrip('/')}/{kind}", params=query)
            for resource in self._resources(first, headers):
                for box in _boxes(resource, rpps=rpps, finess=finess):
                    found.setdefault((box.address, box.structure), box)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise Unavailable("ANNUAIRE-FHIR", "", type(error).__name__) from error
        return tuple(found.values())

    def _resources(self, url: httpx.URL, headers: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
        """Every resource of a search, following `next`, on the same server only: the key goes nowhere else."""
        context = client_context(None, system=True)
        for _ in range(_PAGES):
            page = io.BytesIO()
            status = get(
                str(url), page.write, context=context, limit=_LIMIT, silence=self._config.timeout, headers=headers
            )
            if status in {401, 403}:
                raise OperatorFault("ANNUAIRE-FHIR", "key", filled("clé refusée ({status})", status=status))
            if status != 200:
                raise Unavailable("ANNUAIRE-FHIR", "", filled("réponse {status}", status=status))
            bundle = _bundle(page.getvalue())
            for entry in bundle.get("entry", ()):
                yield entry.get("resource", {})
            links = {link.get("relation"): link.get("url", "") for link in bundle.get("link", ())}
            following = str(links.get("next") or "")
            if not following or _server(httpx.URL(following)) != _server(httpx.URL(self._config.url)):
                return
            url = httpx.URL(following)


def _server(url: httpx.URL) -> tuple[str, str, int | None]:
    """Whom an address leads to, and whether by TLS."""
    return url.scheme, url.host, url.port


def _bundle(page: bytes) -> Mapping[str, Any]:
    try:
        bundle = json.loads(page)
    except (ValueError, RecursionError) as error:
        raise Malformed("ANNUAIRE-FHIR", "", "la réponse n'est pas du JSON") from error
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        raise Malformed("ANNUAIRE-FHIR", "", "la réponse n'est pas un Bundle FHIR")
    return bundle


def _boxes(resource: Mapping[str, Any], *, rpps: str, finess: str) -> Iterator[Mailbox]:
    structure = finess or _identifier(resource.get("organization", {}), _FINESS)
    for telecom in resource.get("telecom", ()):
        extensions = {one.get("url"): one for one in telecom.get("extension", ())}
        if extensions.get(_MESSAGING, {}).get("valueCoding", {}).get("code") != "MSSANTE":
            continue
        try:
            address = addr_spec(str(telecom.get("value", "")))
        except ValueError:
            continue
        said = {one.get("url"): one for one in extensions.get(_METADATA, {}).get("extension", ())}
        codings = said.get("type", {}).get("valueCodeableConcept", {}).get("coding", ())
        yield Mailbox(
            address=address.lower(),
            type=next((str(coding.get("code", "")) for coding in codings), ""),
            rpps=rpps,
            structure=structure,
            service=str(said.get("service", {}).get("valueString", "")),
            demat={True: "O", False: "N"}.get(said.get("digitization", {}).get("valueBoolean"), ""),
        )


def _identifier(reference: Mapping[str, Any], system: str) -> str:
    """The identifier a reference carries by itself; '' when it only points at a resource."""
    identifier = reference.get("identifier", {})
    return str(identifier.get("value", "")) if identifier.get("system") == system else ""
