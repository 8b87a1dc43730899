"""Accounts of the demo's console: of one demo alone, refused in production, told on the screen once."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from router.access.person import EVERY, Role
from router.config.site import Site
from router.runtime.site_services import SiteServices
from router.starter.profiles import A

#: Name of an account -> (name that is shown, rights).
ACCOUNTS: Final[Mapping[str, tuple[str, Mapping[str, Role]]]] = {
    "lectrice": ("Louise (lectrice)", {A.structure.finess: Role.READER}),
    "exploitant": ("Omar (exploitant)", {A.structure.finess: Role.OPERATOR}),
    "administratrice": ("Anne (administratrice)", {EVERY: Role.ADMINISTRATOR}),
}


@dataclass(frozen=True, slots=True)
class DemoAccount:
    """name, password: to log in with;  role: the word of the highest role"""

    name: str
    password: str
    role: str


def make_accounts(site: Path) -> list[DemoAccount]:
    """Accounts with passwords of this demo alone: only their hashes are kept. Raises `OperatorFault`, `Unavailable`."""
    services, made = SiteServices(Site(site)), []
    try:
        for name, (shown, rights) in ACCOUNTS.items():
            password = secrets.token_urlsafe(9)
            services.access.accounts.add(name, password, rights, shown=shown, demo=True)
            made.append(DemoAccount(name, password, max(rights.values()).name.lower()))
    finally:
        services.close()
    return made
