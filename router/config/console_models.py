"""What the site file says of the console, of its people, and of the accounts that give commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from router.gateway.settings import TlsConfig, loopback
from router.secret import Secret
from router.strict import Strict

RoleName = Literal["reader", "operator", "administrator"]
_STRUCTURE: Final = r"^(\*|(?:[0-9]{2}|2[AB])[0-9]{7})$"
PLACE: Final = r"^[^\s/]+:(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$"
Grants = dict[Annotated[str, Field(pattern=_STRUCTURE)], RoleName]
"""FINESS, or `*` for every structure and what belongs to none, -> role there."""


class OidcConfig(Strict):
    """The hospital's identity provider: OpenID Connect, code flow with PKCE."""

    issuer: str = Field(
        pattern=r"^https?://", description="Its address, as its own documents name it; http on this machine only."
    )
    client_id: str = Field(min_length=1, description="Under which it knows the console.")
    client_secret: Secret = Field(description="Where the secret is that it gave the console.")
    groups: dict[str, Grants] = Field(
        default_factory=dict,
        description="Group, as `groups_claim` says it, -> rights. Who is in none of them is not let in.",
    )
    groups_claim: str = Field("groups", description="Claim of the id token, or of userinfo, that holds the groups.")
    name_claim: str = Field("preferred_username", description="Claim that names the person in the audit.")
    shown_claim: str = Field("name", description="Claim that other people know her by.")
    scopes: tuple[str, ...] = Field(("openid", "profile"), description="Scopes that are asked for.")
    ca: Path | None = Field(None, description="PEM file of its authority; default: those of the system.")

    @field_validator("issuer")
    @classmethod
    def _encrypted(cls, value: str) -> str:
        host = urlsplit(value).hostname or ""
        if value.startswith("http:") and not loopback(host):
            raise ValueError("the identity provider is asked by https, unless it is on this machine")
        return value.rstrip("/") if urlsplit(value).path == "/" else value

    @field_validator("scopes")
    @classmethod
    def _openid(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if "openid" not in value:
            raise ValueError("`openid` must be among the scopes")
        return value


class ConsoleConfig(Strict):
    """The pages for people, in a browser. Without local accounts (`segur-router access`) and `oidc` nobody gets in."""

    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 for all, with `tls` then.")
    port: int = Field(ge=0, le=65535, description="TCP port; 0 takes a free one.")
    tls: TlsConfig | None = Field(None, description="Encrypt: required on anything but the loopback.")
    address: str | None = Field(
        None,
        pattern=r"^https?://[^/?#\s]+/?$",
        description="Under which browsers reach it (`https://router.chu.example`); required with `oidc` and behind a "
        "proxy. Default: host and port.",
    )
    language: Literal["fr", "en"] = Field("fr", description="Of the pages, where a person chose none.")
    session_minutes: float = Field(
        30, ge=1, le=24 * 60, description="Minutes without a request after which a session ends."
    )
    shift_hours: float = Field(12, gt=0, le=24, description="Hours after which it ends in any case.")
    oidc: OidcConfig | None = Field(None, description="Log in with the hospital's accounts.")
    others: list[Annotated[str, Field(pattern=PLACE)]] = Field(
        default_factory=list,
        description="`host:port` of the administration ports of the site's other machines or pods: the state page asks "
        "them. A name stands for every address behind it. On one machine none is needed; the Helm chart names them.",
    )

    @property
    def other_places(self) -> list[tuple[str, int]]:
        """`others` as hosts and ports."""
        return [(host.strip("[]"), int(port)) for host, _, port in (one.rpartition(":") for one in self.others)]


class OperatorsConfig(Strict):
    """Who may give commands that change something: accounts of the machine, as `id -un` names them.

    Without `accounts` every account that can use the data folder may replay and discard, and give accounts and tokens.
    """

    accounts: dict[str, Grants] | None = Field(
        None,
        description="Account -> rights, as in the console: `dlq replay` and `dlq discard` need operator, `withdraw`, "
        "`access` and `token` administrator.",
    )
    second_person_above: int | None = Field(
        None,
        ge=0,
        description="An order about more dead letters than this (replay, discard, a discard taken back) begins only "
        "once a second operator of the same structures confirms it in the console; the command line refuses it. What "
        "one person orders alone within an hour, of one act, counts together. Default: one person is enough.",
    )
    withdraw: list[str] = Field(
        default_factory=list,
        description="May take a document out of the DMP under the INS of its deposit (`segur-router withdraw`), "
        "besides the administrators of `accounts`.",
    )
