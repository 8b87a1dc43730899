"""The simulated provider: its description, its keys, a page to log in, codes, tokens, userinfo, logout.

It is as strict as a provider can be: one client, its own return address, PKCE with S256, each code once.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from router.simulators.control import Command, control_server
from router.simulators.http import HttpServer, Request, Response
from router.simulators.idp.people import PEOPLE, IdpPerson
from router.simulators.idp.tokens import SigningKey, Wrong, at_hash, b64, signed_by_secret, spoilt, unsigned

_JSON: Final = "application/json"
_HTML: Final = "text/html; charset=utf-8"
_CODE_SECONDS: Final = 60.0
_TOKEN_SECONDS: Final = 300


@dataclass(frozen=True, slots=True)
class IdpConfig:
    """returns: addresses to which people may be sent back; empty: any of this machine
    groups_in: where the groups are said: in the id token, or in userinfo alone
    """

    client_id: str = "segur-router"
    client_secret: str = field(default="demo-secret", repr=False)
    port: int = 0
    control_port: int | None = None
    returns: tuple[str, ...] = ()
    groups_in: str = "id_token"
    people: tuple[IdpPerson, ...] = PEOPLE


@dataclass(slots=True)
class _Login:
    """Of one code."""

    person: IdpPerson
    asked: Mapping[str, str]
    at: float


class IdpSimulator:
    """A provider on the loopback; `async with` starts and stops it."""

    def __init__(self, config: IdpConfig | None = None, *, now: Callable[[], float] = time.time) -> None:
        self.config = config or IdpConfig()
        self._now = now
        self._server = HttpServer(self._handle, port=self.config.port, context=None)
        commands: dict[str, Command] = {"wrong": self.misbehave, "rotate": self.rotate, "down": self.go_down}
        control = self.config.control_port
        self._control = control_server(commands, control) if control is not None else None
        self._key = SigningKey("key-1")
        self._codes: dict[str, _Login] = {}
        self._access: dict[str, IdpPerson] = {}
        self._wrong: Wrong = ""
        self._down = False
        self.asked: list[str] = []
        """Paths of every request."""
        self.ended: list[str] = []
        """Names of those who logged out, as their id tokens say."""

    async def __aenter__(self) -> Self:
        await self._server.start()
        if self._control is not None:
            await self._control.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop()
        if self._control is not None:
            await self._control.stop()

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self._server.port}"

    @property
    def control_port(self) -> int:
        return self._control.port if self._control is not None else 0

    # -------------------------------------------------------------------------------------------- commands

    def misbehave(self, how: Wrong = "") -> None:
        """Do this wrong from now on; "" stops it."""
        self._wrong = how

    def rotate(self) -> None:
        """Sign with another key from now on; the old one is not published any more."""
        self._key = SigningKey(f"key-{secrets.token_hex(4)}")

    def go_down(self, down: bool = True) -> None:
        """Answer 503 to everything."""
        self._down = down

    # --------------------------------------------------------------------------------------------- answers

    async def _handle(self, request: Request) -> Response | None:
        place = urlsplit(request.path)
        self.asked.append(place.path)
        if self._down:
            return _json({"error": "temporarily_unavailable"}, 503)
        query = dict(parse_qsl(place.query, keep_blank_values=True))
        form = dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
        if (request.method, place.path) == ("GET", "/authorize"):
            return self._page(query)
        if (request.method, place.path) == ("POST", "/authorize"):
            return self._chosen(form)
        answers: dict[str, Callable[[], Response]] = {
            "/.well-known/openid-configuration": lambda: _json(self._described()),
            "/jwks": lambda: _json({"keys": [self._key.published()]}),
            "/token": lambda: self._token(request, form),
            "/userinfo": lambda: self._userinfo(request),
            "/logout": lambda: self._logout(query),
        }
        return answers[place.path]() if place.path in answers else _json({"error": "not_found"}, 404)

    def _described(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "end_session_endpoint": f"{self.issuer}/logout",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            "authorization_response_iss_parameter_supported": True,
        }

    # ---------------------------------------------------------------------------------------- the person's part

    def _objection(self, asked: Mapping[str, str]) -> str:
        """Why these parameters can't begin a login (RFC 6749 §4.1.1, RFC 7636 §4.3)."""
        there = asked.get("redirect_uri", "")
        known = there in self.config.returns if self.config.returns else _here(there)
        if asked.get("client_id") != self.config.client_id or not known:
            return "unknown client or return address"
        if asked.get("response_type") != "code" or "openid" not in asked.get("scope", "").split():
            return "not a code flow of OpenID Connect"
        if asked.get("code_challenge_method") != "S256" or len(asked.get("code_challenge", "")) != 43:
            return "PKCE with S256 is required"
        return "" if asked.get("state") and asked.get("nonce") else "state and nonce are required"

    def _page(self, asked: Mapping[str, str], told: str = "") -> Response:
        """The page to log in. Its form carries what was asked for."""
        if why := self._objection(asked):
            return Response(400, f"<!doctype html><title>IdP</title><p>{html.escape(why)}".encode(), _HTML)
        hidden = "".join(
            f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'
            for name, value in asked.items()
        )
        people = "".join(
            f"<li><code>{html.escape(one.name)}</code> / <code>{html.escape(one.password)}</code>, "
            f"{html.escape(one.shown)}"
            for one in self.config.people
        )
        page = (
            '<!doctype html><html lang="fr"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
            "<title>Fournisseur d’identité simulé</title><h1>Fournisseur d’identité simulé</h1>"
            f'<p role="alert">{html.escape(told)}</p><form method="post" action="/authorize">{hidden}'
            '<p><label>Nom <input name="username" autocomplete="username" autofocus></label>'
            '<p><label>Mot de passe <input name="password" type="password" autocomplete="current-password"></label>'
            f"<p><button>Se connecter</button></form><ul>{people}</ul></html>"
        )
        return Response(200, page.encode(), _HTML)

    def _chosen(self, form: dict[str, str]) -> Response:
        """The answer to the page: a code, and back."""
        name, password = form.pop("username", ""), form.pop("password", "")
        found = next((one for one in self.config.people if one.name == name and one.password == password), None)
        if found is None or self._objection(form):
            return self._page(form, "nom ou mot de passe faux")
        return _led(f"{form['redirect_uri']}?{urlencode(self._answer(found, form))}")

    def _answer(self, person: IdpPerson, asked: Mapping[str, str]) -> dict[str, str]:
        code = secrets.token_urlsafe(16)
        self._codes[code] = _Login(person, asked, self._now())
        issuer = "https://other.example" if self._wrong == "answer-issuer" else self.issuer
        return {"code": code, "state": "another" if self._wrong == "state" else asked["state"], "iss": issuer}

    def login(self, address: str, name: str) -> str:
        """What the browser of this person would be led to from the address of a login, without the pages."""
        asked = dict(parse_qsl(urlsplit(address).query))
        if why := self._objection(asked):
            raise ValueError(why)
        person = next(one for one in self.config.people if one.name == name)
        return f"{asked['redirect_uri']}?{urlencode(self._answer(person, asked))}"

    # ---------------------------------------------------------------------------------------- the client's part

    def _token(self, request: Request, form: Mapping[str, str]) -> Response:
        if not self._is_client(request):
            return _json({"error": "invalid_client"}, 401)
        login = self._codes.pop(form.get("code", ""), None)
        proof = b64(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        right = (
            login is not None
            and form.get("grant_type") == "authorization_code"
            and self._now() - login.at < _CODE_SECONDS
            and form.get("redirect_uri") == login.asked["redirect_uri"]
            and proof == login.asked["code_challenge"]
        )
        if login is None or not right:
            return _json({"error": "invalid_grant"}, 400)
        access = secrets.token_urlsafe(24)
        self._access[access] = login.person
        made = {"access_token": access, "token_type": "Bearer", "expires_in": _TOKEN_SECONDS}
        return _json({**made, "id_token": self._id_token(login, access)})

    def _id_token(self, login: _Login, access: str) -> str:
        now = int(self._now())
        claims = {
            "iss": self.issuer,
            "sub": f"sub-{login.person.name}",
            "aud": self.config.client_id,
            "iat": now,
            "exp": now + _TOKEN_SECONDS,
            "nonce": login.asked["nonce"],
            "at_hash": at_hash(access),
        }
        claims |= self._facts(login.person, groups=self.config.groups_in == "id_token")
        claims = spoilt(claims, self._wrong)
        if self._wrong == "none":
            return unsigned(claims)
        if self._wrong == "secret":
            return signed_by_secret(claims, self.config.client_secret, self._key.kid)
        if self._wrong == "key":
            return SigningKey(self._key.kid).signed(claims)
        text = self._key.signed(claims)
        return text[:-8] + ("A" * 8 if text[-8:] != "A" * 8 else "B" * 8) if self._wrong == "signature" else text

    def _facts(self, person: IdpPerson, *, groups: bool) -> dict[str, Any]:
        named = {"preferred_username": person.name, "name": person.shown}
        return {**named, "groups": list(person.groups)} if groups else named

    def _userinfo(self, request: Request) -> Response:
        person = self._access.get(request.headers.get("authorization", "").removeprefix("Bearer "))
        if person is None:
            return _json({"error": "invalid_token"}, 401)
        sub = "sub-another" if self._wrong == "subject" else f"sub-{person.name}"
        return _json({"sub": sub, **self._facts(person, groups=True)})

    def _logout(self, query: Mapping[str, str]) -> Response:
        """RP-Initiated Logout 1.0, without a question."""
        payload = query.get("id_token_hint", "..").split(".")[1]
        said = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)) or b"{}")
        self.ended.append(str(said.get("preferred_username", "")))
        there = query.get("post_logout_redirect_uri", "")
        return _led(there) if _here(there) else Response(200, "déconnecté".encode(), _HTML)

    def _is_client(self, request: Request) -> bool:
        """`client_secret_basic`."""
        given = request.headers.get("authorization", "").removeprefix("Basic ")
        try:
            name, _, secret = base64.b64decode(given, validate=True).decode().partition(":")
        except ValueError:
            return False
        return (unquote(name), unquote(secret)) == (self.config.client_id, self.config.client_secret)


def _here(address: str) -> bool:
    return urlsplit(address).hostname in ("127.0.0.1", "localhost")


def _led(address: str) -> Response:
    return Response(303, headers={"Location": address})


def _json(value: object, status: int = 200) -> Response:
    return Response(status, json.dumps(value, ensure_ascii=False).encode(), _JSON, {"Cache-Control": "no-store"})
