"""The hospital's identity provider, as far as we talk to it: its own description, its keys, its answers to a code.

Everything it says is bounded in size and time, and nothing of it is ever shown: it may quote a person.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
from authlib.oauth2.auth import ClientAuth
from joserfc.jwk import KeySet

from router.access.faults import LoginRefused
from router.config.console_models import OidcConfig
from router.gateway.settings import loopback
from router.language import N_
from router.tls import client_context

SECONDS: Final = 8.0
"""For one call."""
LIMIT: Final = 512 * 1024
"""Bytes of one answer."""
FRESH: Final = 3600.0
"""Seconds that its description and its keys are used without asking again."""
HURRIED: Final = 30.0
"""Seconds between two readings of its keys because a token names an unknown one."""
PAUSE: Final = 5.0
"""Seconds that it is left alone after it did not say who it is: people who wait do not wait for each other."""

AWAY: Final = N_("the identity provider does not answer: try again, or log in with a local account")
WRONG: Final = N_("the identity provider's answer can't be used: tell whoever runs the router")

_NEEDED: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")


def away() -> LoginRefused:
    return LoginRefused("LOGIN-IDP-AWAY", AWAY)


def wrong(code: str) -> LoginRefused:
    """code: `LOGIN-IDP-…`, which says what was wrong to whoever reads the audit."""
    return LoginRefused(code, WRONG)


class Provider:
    """One provider. Any thread; raises `LoginRefused` (`LOGIN-IDP-…`)."""

    def __init__(self, config: OidcConfig) -> None:
        self._config = config
        self._turn = threading.Lock()
        self._described: dict[str, Any] = {}
        self._described_at = float("-inf")
        self._left_alone = float("-inf")
        self._keys: KeySet | None = None
        self._keys_at = float("-inf")

    # ------------------------------------------------------------------------------------- what it says of itself

    def described(self) -> Mapping[str, Any]:
        """Its metadata (OpenID Connect Discovery 1.0): of this very issuer, with encrypted addresses."""
        with self._turn:
            if time.monotonic() - self._described_at > FRESH:
                if time.monotonic() < self._left_alone:
                    raise away()
                try:
                    self._described = self._read_description()
                except LoginRefused:
                    self._left_alone = time.monotonic() + PAUSE
                    raise
                self._described_at = time.monotonic()
            return self._described

    def _read_description(self) -> dict[str, Any]:
        said = self._get(f"{self._config.issuer.rstrip('/')}/.well-known/openid-configuration")
        if str(said.get("issuer", "")).rstrip("/") != self._config.issuer.rstrip("/"):
            raise wrong("LOGIN-IDP-ISSUER")
        for name in (*_NEEDED, "userinfo_endpoint", "end_session_endpoint"):
            address = said.get(name)
            if (address is None and name in _NEEDED) or (address is not None and not _safe(address)):
                raise wrong("LOGIN-IDP-ADDRESS")
        return said

    def keys(self, *, unknown: bool = False) -> KeySet:
        """Its keys. unknown: a token names one that is not among them; they may be new ones."""
        address = str(self.described()["jwks_uri"])
        with self._turn:
            age = time.monotonic() - self._keys_at
            if self._keys is None or age > (HURRIED if unknown else FRESH):
                self._keys = self._read_keys(address)
                self._keys_at = time.monotonic()
            return self._keys

    def _read_keys(self, address: str) -> KeySet:
        try:
            return KeySet.import_key_set(self._get(address))  # type: ignore[arg-type]  # it checks what it is given
        except (ValueError, TypeError, KeyError) as error:
            raise wrong("LOGIN-IDP-KEYS") from error

    # ----------------------------------------------------------------------------------------------- questions

    def tokens(self, code: str, verifier: str, redirect_uri: str) -> Mapping[str, Any]:
        """What a code is worth (RFC 6749 §4.1.3, RFC 7636 §4.5)."""
        said = self.described()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        body = str(httpx.QueryParams(form))
        methods = said.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        method = "client_secret_basic" if "client_secret_basic" in methods else "client_secret_post"
        secret = self._config.client_secret.read()
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        address, headers, body = ClientAuth(self._config.client_id, secret, method).prepare(
            "POST", str(said["token_endpoint"]), headers, body
        )
        return self._asked("POST", address, headers=headers, content=body)

    def userinfo(self, access_token: str) -> Mapping[str, Any]:
        """More claims of the person (OpenID Connect Core 1.0, UserInfo); none where it has no such place."""
        address = self.described().get("userinfo_endpoint")
        if address is None or not access_token.isascii():
            return {}
        return self._asked("GET", str(address), headers={"Authorization": f"Bearer {access_token}"})

    # ------------------------------------------------------------------------------------------------- calls

    def _get(self, address: str) -> dict[str, Any]:
        return self._asked("GET", address, headers={"Accept": "application/json"})

    def _asked(self, method: str, address: str, *, headers: Mapping[str, str], content: str = "") -> dict[str, Any]:
        """One JSON object. It leads nowhere else: a redirection is not followed."""
        try:
            context = client_context(self._config.ca, system=True)
        except (OSError, ValueError) as error:
            raise wrong("LOGIN-IDP-CA") from error
        until = time.monotonic() + SECONDS
        try:
            with (
                httpx.Client(verify=context, timeout=SECONDS, trust_env=False) as client,
                client.stream(method, address, headers=dict(headers), content=content or None) as answer,
            ):
                body = b""
                for chunk in answer.iter_bytes():
                    body += chunk
                    if len(body) > LIMIT or time.monotonic() > until:
                        raise away()
        except (httpx.HTTPError, OSError) as error:
            raise away() from error
        except httpx.InvalidURL as error:
            raise wrong("LOGIN-IDP-ADDRESS") from error
        if answer.status_code >= 500:
            raise away()
        if answer.status_code != 200:
            raise wrong("LOGIN-IDP-REFUSED")
        try:
            said = json.loads(body)
        except ValueError as error:
            raise wrong("LOGIN-IDP-ANSWER") from error
        if not isinstance(said, dict):
            raise wrong("LOGIN-IDP-ANSWER")
        return said


def _safe(address: object) -> bool:
    """Whether people and secrets may be sent there: https, or this machine."""
    if not isinstance(address, str):
        return False
    try:
        parts = urlsplit(address)
        return parts.scheme == "https" or (parts.scheme == "http" and loopback(parts.hostname or ""))
    except ValueError:
        return False
