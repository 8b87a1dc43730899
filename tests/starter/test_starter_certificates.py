"""The folder of throw-away certificates that several simulators share."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509

from router.errors import OperatorFault
from router.simulators.authority import Certificates, make_certificates
from router.simulators.serve import ensure_certificates

A, B = {"750100125": "Hopital A"}, {"690123450": "Hopital B"}


def _signed_by_its_authority(made: Certificates, name: str) -> None:
    """Raises when the authority of the folder did not sign this one."""
    authority = x509.load_pem_x509_certificate(made.ca.read_bytes())
    x509.load_pem_x509_certificate(made.pair(name)[0].read_bytes()).verify_directly_issued_by(authority)


def test_simulators_started_at_once_agree_on_one_authority(tmp_path: Path) -> None:
    """Two find an empty folder at the same moment: what they make is of one authority."""
    with ThreadPoolExecutor() as pool:
        made = list(pool.map(lambda _: ensure_certificates(tmp_path, A).ca.read_bytes(), range(4)))
    assert len(set(made)) == 1
    for name in Certificates(tmp_path).names(A):
        _signed_by_its_authority(Certificates(tmp_path), name)


def test_what_is_missing_is_added_by_the_same_authority(tmp_path: Path) -> None:
    """A second hospital comes later: running simulators go on with the files that they have read."""
    first = ensure_certificates(tmp_path, A)
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.name != ".lock"}
    made = ensure_certificates(tmp_path, A | B)
    assert {path: path.read_bytes() for path in before} == before
    assert first == made
    assert made.missing(A | B) == []
    _signed_by_its_authority(made, "690123450-auth")


def test_certificates_of_others_are_never_replaced(tmp_path: Path) -> None:
    """An authority without its key is not ours: nothing is written beside it; the sentence names what is missing."""
    made = make_certificates(tmp_path, A)
    (tmp_path / "ca.key").unlink()
    assert ensure_certificates(tmp_path, A) == made
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(OperatorFault, match="690123450-auth is missing"):
        ensure_certificates(tmp_path, A | B)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
