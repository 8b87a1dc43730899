"""Certificates and worlds of the DMP sink, over real TLS with the simulated DMP (dmp §7, §10.19; decisions D9)."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtensionOID, NameOID

from router.errors import OperatorFault
from router.simulators.authority import Certificates, make_certificates
from router.simulators.dmp import DmpSimulator
from router.simulators.sender import HOPITAL_A, HOPITAL_B, Maker
from router.sinks.dmp.sink import DmpSink
from tests.sinks.dmp_world import (
    FIRST,
    Shifted,
    hospitals,
    made,
    opened,
    play,
    tools,
)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Throw-away certificates of two hospitals, expired ones included."""
    return hospitals(tmp_path_factory)


@pytest.fixture
def maker() -> Maker:
    return Maker(11)


def _as(certificates: Certificates, part: str, name: str) -> dict[str, Any]:
    certificate, key = certificates.pair(name)
    return {part: {"certificate": certificate, "key": key}}


def test_swapped_certificates_are_seen_at_the_start(certificates: Certificates) -> None:
    """AUTH in the place of SIGN can't sign: an OperatorFault when the sink opens."""
    with pytest.raises(OperatorFault) as caught:
        opened(
            certificates,
            HOPITAL_A.finess,
            "https://127.0.0.1:1/x",
            **_as(certificates, "sign", f"{HOPITAL_A.finess}-auth"),
        )
    assert caught.value.code == "DMP-CERT-SIGN"


@pytest.mark.parametrize(
    ("part", "suffix", "code"),
    [("sign", "sign-expired", "DMP-CERT-SIGN"), ("auth", "auth-expired", "DMP-CERT-AUTH")],
)
def test_an_expired_certificate_is_our_fault(
    certificates: Certificates, maker: Maker, part: str, suffix: str, code: str
) -> None:
    """Expired SIGN or AUTH: OperatorFault, the delivery stays."""
    sample = maker.document("biology", maker.patient(age=50))

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        with pytest.raises(OperatorFault) as caught:
            await sink.deliver(made(sample), FIRST)
        assert caught.value.code == code
        assert dmp.documents == {}

    play(certificates, story, **_as(certificates, part, f"{HOPITAL_A.finess}-{suffix}"))


def test_the_certificates_of_another_structure(certificates: Certificates, maker: Maker) -> None:
    """A certificate that was changed for another structure's signs nothing: OperatorFault, and no call (D11)."""
    sample = maker.document("biology", maker.patient(age=50))
    other = _as(certificates, "sign", f"{HOPITAL_B.finess}-sign") | _as(
        certificates, "auth", f"{HOPITAL_B.finess}-auth"
    )

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        with pytest.raises(OperatorFault) as caught:
            await sink.deliver(made(sample), FIRST)
        assert caught.value.code == "DMP-CERT-STRUCTURE"
        assert dmp.received == []

    play(certificates, story, **other)


def test_an_unknown_server_is_not_trusted(certificates: Certificates, maker: Maker, tmp_path: Path) -> None:
    """A server whose certificate another authority made gets nothing."""
    other = make_certificates(tmp_path, {})
    sample = maker.document("biology", maker.patient(age=50))

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        with pytest.raises(OperatorFault) as caught:
            await sink.deliver(made(sample), FIRST)
        assert caught.value.code == "DMP-TLS-SERVER"

    play(certificates, story, server_ca=other.ca)


def test_a_renewed_certificate_is_used_without_restart(
    certificates: Certificates, maker: Maker, tmp_path: Path
) -> None:
    """Expired files are replaced on disk: the next attempts use the new ones."""
    paths = {part: (tmp_path / f"{part}.pem", tmp_path / f"{part}.key") for part in ("auth", "sign")}

    def install(suffix: str) -> None:
        for part, (certificate, key) in paths.items():
            made_certificate, made_key = certificates.pair(f"{HOPITAL_A.finess}-{part}{suffix}")
            certificate.write_bytes(made_certificate.read_bytes() + b"\n" * len(suffix))
            key.write_bytes(made_key.read_bytes())

    class Jump(Shifted):
        ahead = 0.0

        def monotonic(self) -> float:
            return super().monotonic() + self.ahead

    clock = Jump()
    sample = maker.document("biology", maker.patient(age=50))
    install("-expired")

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        with pytest.raises(OperatorFault):
            await sink.deliver(made(sample), FIRST)
        install("")
        clock.ahead = 10.0
        await sink.deliver(made(sample), FIRST)

    given = {part: {"certificate": certificate, "key": key} for part, (certificate, key) in paths.items()}
    play(certificates, story, given=tools(clock=clock), **given)


def test_production_and_qualification_never_mix(certificates: Certificates) -> None:
    """The address of production in qualification, or the reverse, refuses to start (decisions D9)."""
    production = "https://lps2.dmp.gouv.fr/si-dmp-server/v2/services"
    for environment, url in (("qualification", production), ("production", "https://dev9.lps2.dmp.gouv.fr/x")):
        with pytest.raises(OperatorFault) as caught:
            opened(certificates, HOPITAL_A.finess, url, given=tools(environment=environment))
        assert caught.value.code == "DMP-ENVIRONMENT"
    opened(certificates, HOPITAL_A.finess, production, given=tools(environment="production"), max_per_second=4)


def test_a_name_with_types_of_its_own_is_written_by_rfc_4514(
    certificates: Certificates, maker: Maker, tmp_path: Path
) -> None:
    """A certificate with an organisation identifier: the VIHF's Issuer has its encoding, which the DMP can read."""
    sealed = sealed_with(certificates, tmp_path, f"1{HOPITAL_A.finess}")
    sample = maker.document("biology", maker.patient(age=50))

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        dmp._trust = dataclasses.replace(dmp._trust, authority=None)
        dmp._desk = dataclasses.replace(dmp._desk, trust=dmp._trust)
        await sink.deliver(made(sample), FIRST)

    play(certificates, story, sign={"certificate": sealed}, keep=tmp_path / "kept")
    said = next((tmp_path / "kept").glob("*td2.1-request*")).read_bytes()
    assert b"2.5.4.97=#0c" in said


def sealed_with(certificates: Certificates, folder: Path, unit: str) -> Path:
    """A self-signed seal whose subject has an organizationIdentifier; certificate and key in one file."""
    key = rsa.generate_private_key(65537, 2048)
    kinds = {
        NameOID.COUNTRY_NAME: "FR",
        NameOID.ORGANIZATION_IDENTIFIER: "NTRFR-1",
        NameOID.ORGANIZATIONAL_UNIT_NAME: unit,
    }
    subject = x509.Name([x509.NameAttribute(kind, value) for kind, value in kinds.items()])
    model = x509.load_pem_x509_certificate(certificates.pair(f"{HOPITAL_A.finess}-sign")[0].read_bytes())
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = (
        builder.serial_number(7).not_valid_before(model.not_valid_before_utc).not_valid_after(model.not_valid_after_utc)
    )
    for one in model.extensions:
        if one.oid in (ExtensionOID.KEY_USAGE, ExtensionOID.EXTENDED_KEY_USAGE):
            builder = builder.add_extension(one.value, one.critical)
    path = folder / "seal.pem"
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(builder.sign(key, SHA256()).public_bytes(Encoding.PEM) + secret)
    return path
