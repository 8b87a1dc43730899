"""Distinguished names as text (RFC 4514), read back by a reader that is not ours."""

from __future__ import annotations

from cryptography import x509
from cryptography.x509.oid import NameOID

from router.sinks.dmp.dn import rfc4514


def name(*rdns: list[tuple[x509.ObjectIdentifier, str]]) -> x509.Name:
    return x509.Name(
        [x509.RelativeDistinguishedName([x509.NameAttribute(kind, value) for kind, value in rdn]) for rdn in rdns]
    )


def test_types_of_the_table_are_named_and_escaped() -> None:
    """The most specific first; the characters that separate are escaped, accents are not."""
    found = rfc4514(
        name(
            [(NameOID.COUNTRY_NAME, "FR")],
            [(NameOID.STATE_OR_PROVINCE_NAME, "Rhône (69)")],
            [(NameOID.ORGANIZATION_NAME, 'CHU, de "Lyon" + #1')],
            [(NameOID.COMMON_NAME, " #cachet ")],
        )
    )
    assert found == 'CN=\\ #cachet\\ ,O=CHU\\, de \\"Lyon\\" \\+ #1,ST=Rhône (69),C=FR'


def test_other_types_are_dotted_with_the_encoding_of_their_value() -> None:
    """RFC 4514 §2.4: `2.5.4.97=#…`, with the certificate's string type; long values, several types in one RDN."""
    made = name(
        [(NameOID.COUNTRY_NAME, "FR")],
        [(NameOID.ORGANIZATION_IDENTIFIER, "NTRFR-690781810")],
        [(NameOID.GIVEN_NAME, "Zoé " * 15 + "x" * 4), (NameOID.COMMON_NAME, "x")],
    )
    given, organisation = rfc4514(made).split(",")[0], rfc4514(made).split(",")[1]
    assert organisation == "2.5.4.97=#0c0f" + b"NTRFR-690781810".hex()
    assert "2.5.4.42=#0c4f" + ("Zoé " * 15 + "x" * 4).encode().hex() in given.split("+")
    assert "CN=x" in given.split("+")


def test_printable_strings_keep_their_type() -> None:
    """A value that the certificate writes as PrintableString is encoded as one."""
    made = x509.Name([x509.NameAttribute(NameOID.SERIAL_NUMBER, "12", x509.name._ASN1Type.PrintableString)])
    assert rfc4514(made) == "2.5.4.5=#13023132"
