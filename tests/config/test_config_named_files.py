"""The files that a site names: each is looked at, and said by name with what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from pydantic import BaseModel
from ruamel.yaml import YAML

from router.config.named_files import LOOKS, MADE, look
from router.config.site import SiteFile
from router.config.site_models import SiteConfig
from router.simulators.authority import make_certificates
from router.sinks.certificate_files import Pem, certificate

FINESS = "750100125"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the certificates of one hospital, as an operator receives them."""
    folder = tmp_path_factory.mktemp("made")
    make_certificates(folder, {FINESS: "A"})
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(0o600)
    return folder


def told(folder: Path, **changes: Any) -> list[tuple[str, str, str]]:
    """(place, sentence, severity) for a site with one relay, and these changes."""
    written: dict[str, Any] = {
        "environment": "qualification",
        "feeds": {"labo": {"kind": "relay", "mllp": {"port": 2575}}},
        "sinks": {"hl7.dpi": {"type": "hl7", "host": "127.0.0.1", "port": 1}},
    }
    path = folder / "router.yaml"
    with path.open("w", encoding="utf-8") as file:
        YAML().dump(written | changes, file)
    return [(one.path, one.text.replace(f"{folder}/", ""), one.severity) for one in look(SiteFile(path))]


def listener(**tls: Any) -> dict[str, Any]:
    return {"labo": {"kind": "relay", "mllp": {"port": 2575, "tls": tls}}}


def test_every_path_of_the_models_is_looked_at_or_made() -> None:
    """A new path of the site file needs a line in `LOOKS`, or in `MADE` when the router makes what stands there."""

    def paths(model: type[BaseModel], where: tuple[str, ...]) -> list[str]:
        found = []
        for name, info in model.model_fields.items():
            found += _of(info.annotation, (*where, name), paths)
        return found

    found = paths(SiteConfig, ())
    assert len(found) > 20
    unknown = {path for path in found if path.rpartition(".")[2] not in {*LOOKS, *MADE}}
    assert unknown - MADE == set()


def _of(annotation: Any, where: tuple[str, ...], paths: Callable[..., list[str]]) -> list[str]:
    if annotation is Path:
        return [".".join(where)]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return paths(annotation, where)
    mapped = getattr(annotation, "__origin__", None) is dict
    return [one for part in get_args(annotation) for one in _of(part, (*where, "*") if mapped else where, paths)]


def test_a_pair_that_is_right_is_not_told(made: Path, tmp_path: Path) -> None:
    """Its own key, in its dates, read by us alone."""
    assert told(tmp_path, feeds=listener(**_server(made))) == []


def _server(made: Path) -> dict[str, str]:
    (found,) = made.glob("**/server.pem")
    return {"certificate": str(found), "key": str(_key_of(found))}


def _key_of(found: Path) -> Path:
    return next(one for one in found.parent.glob(f"{found.stem}*") if one != found)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    """Certificate, key and authorities, each at its place."""
    tls = {"certificate": "a.pem", "key": "a.key", "client_ca": "ca.pem"}
    reason = "can't be read: No such file or directory"
    assert told(tmp_path, feeds=listener(**tls)) == [
        ("feeds.labo.mllp.tls.certificate", f"a.pem {reason}", "error"),
        ("feeds.labo.mllp.tls.key", f"a.key {reason}", "error"),
        ("feeds.labo.mllp.tls.client_ca", f"ca.pem {reason}", "error"),
    ]


def test_a_key_of_another_certificate_is_told(made: Path, tmp_path: Path) -> None:
    """Both can be read: only together they are wrong."""
    server = _server(made)
    (other,) = made.glob(f"**/{FINESS}-auth.pem")
    tls = {"certificate": server["certificate"], "key": str(_key_of(other))}
    ((place, text, severity),) = told(tmp_path, feeds=listener(**tls))
    assert (place, severity) == ("feeds.labo.mllp.tls.certificate", "error")
    assert text == f"the key in {tls['key']} is not that of the certificate in {tls['certificate']}"


def test_a_key_that_others_can_read_is_a_warning(made: Path, tmp_path: Path) -> None:
    """The router runs with it."""
    server = _server(made)
    open_key = tmp_path / "open.key"
    open_key.write_bytes(Path(server["key"]).read_bytes())
    open_key.chmod(0o644)
    assert told(tmp_path, feeds=listener(certificate=server["certificate"], key="open.key")) == [
        ("feeds.labo.mllp.tls.key", "other accounts of this machine can read the private key in open.key", "warning")
    ]


def test_a_key_with_a_password(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None given, a wrong one, the right one."""
    server = _server(made)
    key = load_pem_private_key(Path(server["key"]).read_bytes(), None)
    shut = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"good"))
    (tmp_path / "shut.key").write_bytes(shut)
    (tmp_path / "shut.key").chmod(0o600)
    tls: dict[str, Any] = {"certificate": server["certificate"], "key": "shut.key"}
    assert [text for _, text, _ in told(tmp_path, feeds=listener(**tls))] == [
        "the private key in shut.key has a password"
    ]
    tls["key_password"] = {"env": "SEGUR_PASSWORD"}
    monkeypatch.setenv("SEGUR_PASSWORD", "bad")
    assert [text for _, text, _ in told(tmp_path, feeds=listener(**tls))] == [
        "the private key in shut.key does not open with its password"
    ]
    monkeypatch.setenv("SEGUR_PASSWORD", "good")
    assert told(tmp_path, feeds=listener(**tls)) == []


@pytest.mark.parametrize(
    ("days", "beginning", "severity"),
    [
        (-5000, "is valid from", "error"),
        (0, "", ""),
        (100_000, "ended on", "error"),
    ],
)
def test_the_dates_of_a_certificate(made: Path, days: int, beginning: str, severity: str) -> None:
    """Not yet valid, valid, expired; within its last thirty days it is a warning."""
    server = _server(made)
    path = Path(server["certificate"])
    now = datetime.now(UTC) + timedelta(days=days)
    model = SiteFileTls(key=Path(server["key"]))
    found = list(certificate(Pem(path, path.read_bytes(), now, model)))
    assert [one.severity for one in found] == ([severity] if severity else [])
    assert all(beginning in one.text for one in found)


def test_the_last_days_of_a_certificate_are_a_warning(made: Path) -> None:
    """Whoever looks has the time to order the next one."""
    from cryptography import x509

    server = _server(made)
    path = Path(server["certificate"])
    ends = x509.load_pem_x509_certificates(path.read_bytes())[0].not_valid_after_utc
    model = SiteFileTls(key=Path(server["key"]))
    (found,) = certificate(Pem(path, path.read_bytes(), ends - timedelta(days=3), model))
    assert (found.severity, found.hint) == ("warning", "order the next one")


class SiteFileTls(BaseModel):
    """The part of a site file beside a certificate."""

    key: Path | None = None


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (b"\x30\x82\x01\x0a", "it looks like DER: convert it with openssl to PEM"),
        (b"", "it is empty"),
        (b"-----BEGIN RSA PRIVATE KEY-----\nx", "it holds: rsa-private-key"),
        (b"hello", ""),
    ],
)
def test_a_file_that_holds_something_else_says_what(tmp_path: Path, content: bytes, hint: str) -> None:
    """The commonest: DER, a key in place of a certificate, an empty file."""
    path = tmp_path / "x.pem"
    (found,) = certificate(Pem(path, content, datetime.now(UTC), SiteFileTls()))
    assert (found.text, found.hint) == (f"{path} holds no certificate in PEM", hint)


def test_what_only_the_sink_knows_is_told_as_it_tells_it(made: Path, tmp_path: Path) -> None:
    """A certificate for connections where one for signatures must stand: no file alone is wrong."""
    (auth,) = made.glob(f"**/{FINESS}-auth.pem")
    one = {"certificate": str(auth), "key": str(_key_of(auth))}
    dmp = {"type": "dmp", "url": "https://127.0.0.1:1/dmp", "lps": {"homologation": "T"}, "auth": one, "sign": one}
    assert told(tmp_path, sinks={"dmp.a": dmp}) == [
        ("sinks.dmp.a.sign", "ce certificat n'est pas un certificat de signature (ORG SIGN)", "error")
    ]


def test_tables_and_schemas_are_read_by_those_who_use_them(tmp_path: Path) -> None:
    """Value sets, tables of the DMP and the CDA schema: what the start would refuse."""
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets" / "JDV_J07.csv").write_text("nonsense")
    assert [
        (place, severity) for place, _, severity in told(tmp_path, value_sets="sets", cda_schema="nowhere.xsd")
    ] == [
        ("value_sets", "error"),
        ("cda_schema", "error"),
    ]


def test_a_relative_list_begins_at_the_site_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As every other path of the file: not where somebody happened to type the command."""
    (tmp_path / "extraction.txt").write_text("x")
    monkeypatch.chdir(Path(__file__).parent)
    assert told(tmp_path, directory={"annuaire": {"extraction": "extraction.txt"}}) == []
    assert SiteFile(tmp_path / "router.yaml").config.directory.annuaire.extraction == str(tmp_path / "extraction.txt")
