"""A person or a program that asks for something, and what it may do in which structure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

EVERY: Final = "*"
"""In the place of a FINESS: all structures of the site, also those that come later."""


class Role(IntEnum):
    """Each role may do what the one before it may."""

    READER = 1
    """Looks: states, searches, messages without identities; content only with a reason, which is audited."""
    OPERATOR = 2
    """Acts: replays, discards, notes, decides in work-lists."""
    ADMINISTRATOR = 3
    """Withdraws from the DMP, manages accounts and tokens, reads the audit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """id: whose this is, see below;  name: for the audit and the pages;  shown: as other people call them
    rights: FINESS, or `EVERY`, -> role there
    scopes: of an API token, what it may ask for; None for a person, who is bound by the role alone

    What belongs to somebody is kept under `id`, which is never given again: a name may be. It is `account:` and the id
    of a local account, `oidc:` and a digest of issuer and subject, `token:` and the id of a token, `machine:` and the
    name of an account of the machine. Two who are there at the same time have two names: `marie`, `oidc:marie`,
    `token:marie:1a2b3c4d`.
    """

    name: str
    id: str = ""
    shown: str = ""
    rights: Mapping[str, Role] = field(default_factory=dict)
    scopes: frozenset[str] | None = None

    def may(self, role: Role, structure: str) -> bool:
        """Whether this person has at least this role in this structure (FINESS; "" when a thing belongs to none)."""
        held = max(self.rights.get(structure, 0), self.rights.get(EVERY, 0))
        return held >= role

    def role_in(self, structure: str) -> str:
        """The word of the highest role that this person has there; "" for none."""
        held = [role for role in Role if self.may(role, structure)]
        return held[-1].name.lower() if held else ""

    def structures(self, role: Role = Role.READER) -> frozenset[str] | None:
        """The FINESS numbers where this person has at least this role; None for all, also things of no structure."""
        if self.rights.get(EVERY, 0) >= role:
            return None
        return frozenset(finess for finess, held in self.rights.items() if held >= role)
