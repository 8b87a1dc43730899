"""The signatures of what really leaves, verified by the JDK and xmlsec: VIHF, lot, each document of its manifest."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import xmlsec
from lxml import etree

from router.simulators.authority import Certificates
from router.simulators.sender import HOPITAL_A
from tests.conformance import jvm
from tests.conformance.leaving import Sent
from tests.xds.xds_oracle import RIM, identifier

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]  # the first run brings the jars

DS = "{http://www.w3.org/2000/09/xmldsig#}"
SAML = "{urn:oasis:names:tc:SAML:2.0:assertion}"
XADES = "http://uri.etsi.org/01903/v1.1.1#"


@dataclass(frozen=True)
class Signed:
    """A file with one signature. named: what its manifest names; wrong: what verdicts must say, "" for nothing."""

    story: str
    kind: str
    xml: bytes = field(repr=False)
    named: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    wrong: str = ""


def vihf(one: Sent) -> Iterator[Signed]:
    """The assertion in its envelope as sent, then moved out of it; then with another word."""
    alone = etree.tostring(etree.fromstring(one.envelope).find(f".//{SAML}Assertion"), with_tail=False)
    yield Signed(one.story, "VIHF in its envelope", one.envelope)
    yield Signed(one.story, "VIHF alone", alone)
    spoilt = one.envelope.replace(b"SA01^", b"SA02^", 1)
    assert spoilt != one.envelope
    yield Signed(one.story, "VIHF spoilt", spoilt, wrong="Reference #")


def lot(one: Sent) -> Iterator[Signed]:
    """The signature of the lot, its documents beside it; then another time in it, then another document."""
    contents, entries = one.documents(), etree.fromstring(one.envelope).iter(RIM + "ExtrinsicObject")
    signature = contents.pop("Signature01")
    ids = {entry.get("id"): identifier(entry, "uniqueId") for entry in entries}
    named = {f"urn:oid:{ids[key]}": content for key, content in contents.items()}
    yield Signed(one.story, "lot", signature, named)
    spoilt = signature.replace(b"<xad:SigningTime>2", b"<xad:SigningTime>3")
    assert spoilt != signature
    yield Signed(one.story, "lot spoilt", spoilt, named, "Reference #S0-SignedProperties")
    key, content = next(iter(named.items()))
    other = re.sub(rb"(<title[^>]*>)", rb"\1x", content, count=1)
    assert other != content
    yield Signed(one.story, "lot with another document", signature, named | {key: other}, f"Manifest {key}")


def set_of(signed: Signed) -> list[str]:
    """The URI of the set in the manifest: its digest is `AA==` by convention, and no judge can find it right."""
    uris = [one.get("URI") for one in etree.fromstring(signed.xml).iterfind(f".//{DS}Manifest/{DS}Reference")]
    return [uri for uri in uris if uri not in signed.named]


@pytest.fixture(scope="module")
def signed(sent: list[Sent]) -> list[Signed]:
    found = [signed for one in sent for signed in vihf(one)]
    return found + [signed for one in sent if one.transaction == "TD2.1" for signed in lot(one)]


@pytest.fixture(scope="module")
def certificate(certificates: Certificates) -> Path:
    return certificates.pair(f"{HOPITAL_A.finess}-sign")[0]


def test_the_jdk_verifies_every_signature(jars: None, signed: list[Signed], certificate: Path, tmp_path: Path) -> None:
    """Value, references and the manifest's documents, by canonical forms that are not ours; faults are found."""
    questions = []
    for number, one in enumerate(signed):
        files = {uri: _file(tmp_path, f"{number}-{at}", content) for at, (uri, content) in enumerate(one.named.items())}
        beside = [f"{uri}={path}" for uri, path in files.items()]
        questions.append((certificate, _file(tmp_path, str(number), one.xml), *beside))
    for one, verdict in zip(signed, jvm.verdicts("Signatures", questions), strict=True):
        known = [f"Manifest {uri} unknown" for uri in set_of(one)]
        assert len(known) == ("lot" in one.kind), one
        found = [said for said in verdict.split("; ") if said not in ("ok", *known)]
        assert [said for said in found if not one.wrong or one.wrong not in said] == [], (one, verdict)
        assert bool(found) is bool(one.wrong), (one, verdict)


def test_xmlsec_verifies_every_assertion(signed: list[Signed], certificate: Path) -> None:
    """Where it stands in the envelope, and alone: exclusive canonical form makes it movable (dmp §3)."""
    ours = [one for one in signed if one.kind.startswith("VIHF")]
    assert ours
    for one in ours:
        root = etree.fromstring(one.xml)
        xmlsec.tree.add_ids(root, ["ID"])
        context = xmlsec.SignatureContext()
        context.key = xmlsec.Key.from_file(str(certificate), xmlsec.constants.KeyDataFormatCertPem)
        (signature,) = root.iter(DS + "Signature")
        if one.wrong:
            with pytest.raises(xmlsec.Error):
                context.verify(signature)
        else:
            context.verify(signature)


def test_xmlsec_verifies_every_lot(
    signed: list[Signed], certificates: Certificates, jars: None, tmp_path: Path
) -> None:
    """xmlsec1 finds both references right, and of the manifest all but the set."""
    ours = [one for one in signed if one.kind.startswith("lot")]
    assert ours
    for one in ours:
        said = _xmlsec1(one, certificates, tmp_path)
        documents = len(one.named) - one.wrong.startswith("Manifest")
        assert f"Manifests References (ok/all): {documents}/{len(one.named) + 1}" in said, one
        assert ("OK" in said.splitlines()) is not one.wrong.startswith("Reference"), one


def _xmlsec1(one: Signed, certificates: Certificates, folder: Path) -> str:
    maps = {uri: _file(folder, str(at), content) for at, (uri, content) in enumerate(one.named.items())}
    maps |= {uri: _file(folder, "set", b"\0") for uri in set_of(one)}
    command = ["xmlsec1", "--verify", "--trusted-pem", str(certificates.ca)]
    for name in (DS[1:].replace("}", ":Manifest"), f"{XADES}:SignedProperties"):
        command += ["--id-attr:Id", name]
    for uri, path in maps.items():
        command += [f"--url-map:{uri}", str(path)]
    done = subprocess.run(
        [*command, str(_file(folder, "signature", one.xml))], capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def _file(folder: Path, name: str, content: bytes) -> Path:
    path = folder / f"{name}.xml"
    path.write_bytes(content)
    return path
