"""Who can log in to the console, and whose token ends soon."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Final

from router.access.accounts import Account
from router.access.tokens import Token
from router.language import filled, filled_plural
from router.runtime.doctor.check import Installation, Verdict, good, remark, wrong
from router.runtime.site_services import SiteServices

SOON: Final = 14 * 86400.0
"""Seconds before its end at which a token is told."""
_ADD: Final = "segur-router access add NAME --right '*=administrator'"


def look(installation: Installation) -> Iterator[Verdict]:
    """Accounts and tokens, where there are any. Raises `Unavailable` when their database is away."""
    accounts, tokens = _kept(installation)
    config = installation.site.config
    demo = [account.name for account in accounts if account.demo]
    if demo and config.environment == "production":
        text = filled("{names} come from the demo: no such account may be in production", names=", ".join(demo))
        yield wrong("accounts", text, f"segur-router access remove {demo[0]}")
    now = installation.clock.now()
    for token in tokens:
        if token.valid(now) and token.expires - now < SOON:
            days = int((token.expires - now) / 86400)
            text = filled_plural(
                "{name} ends in {count} day: what uses it will be refused",
                "{name} ends in {count} days: what uses it will be refused",
                days,
                name=token.name,
            )
            yield remark(f"token {token.id}", text, "segur-router token create …")
    if config.console is None:
        return
    oidc = config.console.oidc
    if oidc is not None and not oidc.groups:
        text = "no group gives any right: nobody gets in with the hospital's account"
        yield wrong("console.oidc.groups", text, 'groups: {pfi: {"*": reader}}')
    usable = [one for one in accounts if not one.locked and not (one.demo and config.environment == "production")]
    if oidc is None and not usable:
        yield wrong("console", "nobody can log in: there is no account and no identity provider", _ADD)
    elif not usable:
        text = "no local account: nobody gets in while the identity provider is away"
        yield remark("console", text, _ADD)
    else:
        yield good("console")


def _kept(installation: Installation) -> tuple[list[Account], list[Token]]:
    """A site that has no such tables yet gets none by being looked at."""
    database = installation.site.config.database
    own = database.url is None and database.url_secret is None
    if own and not (installation.site.data / "access.db").exists():
        return [], []
    with closing(SiteServices(installation.site, clock=installation.clock)) as services:
        return services.access.accounts.all(), services.access.tokens.all()
