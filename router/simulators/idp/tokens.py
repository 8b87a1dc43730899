"""Id tokens and keys of the simulated provider, right and wrong ones. Written with `cryptography` alone."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any, Final, Literal

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

Wrong = Literal[
    "", "none", "secret", "signature", "key", "issuer", "audience", "azp", "expired", "early", "nonce", "no-nonce",
    "at-hash", "subject", "answer-issuer", "state",
]  # fmt: skip
"""What is wrong with the next login: `alg: none`; signed with the client's secret (HS256); a broken signature; by a key
that is not published; of another issuer; for another client; for us among others without `azp`; over; not begun; with
another nonce, or none; the hash of another access token; userinfo of another person; `iss` or state of the answer."""

_BITS: Final = 2048


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class SigningKey:
    """One key of the provider."""

    def __init__(self, kid: str) -> None:
        self.kid = kid
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=_BITS)

    def published(self) -> dict[str, str]:
        """As it stands in the set of keys (RFC 7517)."""
        numbers = self._key.public_key().public_numbers()
        size = (numbers.n.bit_length() + 7) // 8
        return {
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": self.kid,
            "n": b64(numbers.n.to_bytes(size, "big")),
            "e": b64(numbers.e.to_bytes(3, "big")),
        }

    def signed(self, claims: Mapping[str, Any]) -> str:
        """A JWT of these claims (RFC 7519, RS256)."""
        text = _text({"alg": "RS256", "kid": self.kid, "typ": "JWT"}, claims)
        return f"{text}.{b64(self._key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def signed_by_secret(claims: Mapping[str, Any], secret: str, kid: str) -> str:
    """A JWT that whoever knows the client's secret could make (HS256)."""
    text = _text({"alg": "HS256", "kid": kid, "typ": "JWT"}, claims)
    return f"{text}.{b64(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest())}"


def unsigned(claims: Mapping[str, Any]) -> str:
    """A JWT that anybody could make (`alg: none`)."""
    return f"{_text({'alg': 'none', 'typ': 'JWT'}, claims)}."


def at_hash(access_token: str) -> str:
    """Hash of the access token that came with it, for RS256 (OpenID Connect Core 1.0)."""
    return b64(hashlib.sha256(access_token.encode()).digest()[:16])


def spoilt(claims: Mapping[str, Any], wrong: Wrong) -> dict[str, Any]:
    """The claims with this mistake in them."""
    now = int(claims["iat"])
    changes: dict[str, dict[str, Any]] = {
        "issuer": {"iss": "https://other.example"},
        "audience": {"aud": "other-client"},
        "azp": {"aud": [claims["aud"], "other-client"]},
        "expired": {"iat": now - 7200, "exp": now - 3600},
        "early": {"iat": now + 3600, "nbf": now + 3600, "exp": now + 7200},
        "nonce": {"nonce": "another"},
        "at-hash": {"at_hash": at_hash("another")},
    }
    made = {**claims, **changes.get(wrong, {})}
    return {name: value for name, value in made.items() if not (wrong == "no-nonce" and name == "nonce")}


def _text(header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
    return ".".join(b64(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))
