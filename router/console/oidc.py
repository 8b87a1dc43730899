"""Logging in with the hospital's accounts: OpenID Connect, code flow with PKCE (S256).

What proves that the person who comes back is the one who left (state, nonce, verifier) stands in the session on the
server, and is used up by the first return; the cookie holds the session's secret alone.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

from authlib.oauth2.client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError

from router.access.faults import LoginRefused
from router.access.person import Person
from router.access.sessions import Value, same
from router.config.console_models import OidcConfig
from router.console import oidc_person
from router.console.oidc_provider import Provider, wrong
from router.contracts import Clock
from router.language import N_

RETURN: Final = "/login/oidc/return"
"""Path of the page to which the provider sends people back."""
STATE, NONCE, VERIFIER = "oidc_state", "oidc_nonce", "oidc_verifier"
KEPT: Final = (STATE, NONCE, VERIFIER)
"""Names of the session's values between leaving and coming back."""
ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures of a key that the provider publishes. `none`, and those made with a shared secret, are never taken."""
LEEWAY: Final = 60
"""Seconds by which the provider's clock may differ from ours."""
LONGEST: Final = 8_000
"""Characters of an id token that is kept for the logout."""

STALE: Final = N_("this login took too long, or was begun in another window: begin again")
DENIED: Final = N_("the identity provider did not let you in")


@dataclass(frozen=True, slots=True)
class Leaving:
    """address: of the provider, with what we ask;  values: what the session must keep until the return"""

    address: str
    values: Mapping[str, Value] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Arrived:
    """id_token: named at the logout; "" for one that is too long to be kept"""

    person: Person
    id_token: str = field(repr=False)


class Oidc:
    """One console's login at one provider. Any thread; raises `LoginRefused` with a sentence for the person."""

    def __init__(self, config: OidcConfig, address: str, clock: Clock) -> None:
        """address: under which browsers reach the console (`https://router.chu.example`)"""
        self._config, self._clock = config, clock
        self._home = address.rstrip("/")
        self._provider = Provider(config)

    @property
    def redirect_uri(self) -> str:
        """What the provider must know of this client."""
        return self._home + RETURN

    def leave(self) -> Leaving:
        """Where to send the person. The caller keeps `values` in the session that her browser holds."""
        said = self._provider.described()
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        client = OAuth2Client(
            None,
            self._config.client_id,
            scope=" ".join(self._config.scopes),
            redirect_uri=self.redirect_uri,
            code_challenge_method="S256",
        )
        address, _ = client.create_authorization_url(
            said["authorization_endpoint"], state=state, code_verifier=verifier, nonce=nonce
        )
        return Leaving(address, {STATE: state, NONCE: nonce, VERIFIER: verifier})

    def arrive(self, query: Mapping[str, str], kept: Mapping[str, Value]) -> Arrived:
        """Who came back. kept: the values of `leave`, taken out of the session: a second return finds none.

        Raises `LoginRefused`: `LOGIN-OIDC-STATE`, `-DENIED`, `-CODE`, `-TOKEN`, `-NAME`, `-GROUPS`, or `LOGIN-IDP-…`.
        """
        state, nonce, verifier = (str(kept.get(name) or "") for name in KEPT)
        if not (state and nonce and verifier and same(query.get("state", ""), state)):
            raise LoginRefused("LOGIN-OIDC-STATE", STALE)
        said = self._provider.described()
        if query.get("iss", said["issuer"]) != said["issuer"]:  # RFC 9207: an answer of another provider
            raise LoginRefused("LOGIN-OIDC-STATE", STALE)
        if "error" in query:
            raise LoginRefused("LOGIN-OIDC-DENIED", DENIED)
        if not query.get("code"):
            raise wrong("LOGIN-OIDC-CODE")
        answer = self._provider.tokens(query["code"], verifier, self.redirect_uri)
        token, access = answer.get("id_token"), answer.get("access_token")
        if not isinstance(token, str):
            raise wrong("LOGIN-OIDC-TOKEN")
        claims = self._claims(token, nonce, access if isinstance(access, str) else "")
        person = oidc_person.person(self._config, self._more(claims, access))
        return Arrived(person, token if len(token) <= LONGEST else "")

    def logout_address(self, id_token: str) -> str | None:
        """Where to end the session at the provider too (RP-Initiated Logout 1.0); None where it can't be."""
        try:
            end = self._provider.described().get("end_session_endpoint")
        except LoginRefused:  # it is away: our own session has ended all the same
            return None
        if end is None:
            return None
        asked = {"client_id": self._config.client_id, "post_logout_redirect_uri": f"{self._home}/login"}
        hint = {"id_token_hint": id_token} if id_token else {}
        return f"{end}{'&' if '?' in str(end) else '?'}{urlencode({**hint, **asked})}"

    # ------------------------------------------------------------------------------------------------ claims

    def _claims(self, token: str, nonce: str, access_token: str) -> Mapping[str, Any]:
        """The claims of an id token whose signature, issuer, audience, times and nonce are right."""
        said, ours = self._provider.described(), self._config.client_id
        header, claims = self._verified(token)
        options = {
            "iss": {"essential": True, "value": said["issuer"]},
            "aud": {"essential": True, "value": ours},
        }
        params = {"nonce": nonce, "client_id": ours, "access_token": access_token}
        try:
            CodeIDToken(claims, header, options, params).validate(int(self._clock.now()), LEEWAY)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise wrong("LOGIN-OIDC-TOKEN") from error
        several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if several and claims.get("azp") != ours:
            raise wrong("LOGIN-OIDC-TOKEN")
        return claims

    def _verified(self, token: str) -> tuple[dict[str, Any], dict[str, Any]]:
        for unknown in (False, True):
            keys = self._provider.keys(unknown=unknown)
            try:
                found = jwt.decode(token, keys, algorithms=ALGORITHMS)
                return dict(found.header), dict(found.claims)
            except (JoseError, ValueError, TypeError, KeyError) as error:
                fault = error
        raise wrong("LOGIN-OIDC-TOKEN") from fault

    def _more(self, claims: Mapping[str, Any], access_token: object) -> Mapping[str, Any]:
        """With what userinfo says besides, when the id token names no groups; of this same person alone."""
        if oidc_person.claim(claims, self._config.groups_claim) is not None or not isinstance(access_token, str):
            return claims
        told = self._provider.userinfo(access_token)
        if told and told.get("sub") != claims["sub"]:
            raise wrong("LOGIN-OIDC-TOKEN")
        return {**told, **claims}
