"""When certificates end: all that operators must know of one weeks before."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509


def expires(path: Path) -> float | None:
    """Unix time at which the first certificate of a PEM file ends; None when the file can't be read."""
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())[0].not_valid_after_utc.timestamp()
    except (OSError, ValueError):
        return None
