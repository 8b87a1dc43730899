"""What the account that gives a command may do, by `operators` of the site file."""

from __future__ import annotations

from router.access.makers import of_machine
from router.access.person import EVERY, Person, Role
from router.access.rights import ROLES
from router.config.console_models import Grants, OperatorsConfig


def rights_of(grants: Grants) -> dict[str, Role]:
    """The site file's words as rights."""
    return {structure: ROLES[name] for structure, name in grants.items()}


def operator(config: OperatorsConfig, account: str) -> Person:
    """The account as a person. Where the site names no accounts, each may what it always could: all but withdraw."""
    rights = {EVERY: Role.OPERATOR} if config.accounts is None else rights_of(config.accounts.get(account, {}))
    return Person(id=of_machine(account), name=account, shown=account, rights=rights)


def may_withdraw(config: OperatorsConfig, account: str, structure: str) -> bool:
    """structure: FINESS of the document's sender."""
    return account in config.withdraw or operator(config, account).may(Role.ADMINISTRATOR, structure)


def may_administer(config: OperatorsConfig, account: str) -> bool:
    """Whether the account may do what asks an administrator of the site: named so, or nobody is named at all."""
    return config.accounts is None or operator(config, account).may(Role.ADMINISTRATOR, EVERY)


def administered(config: OperatorsConfig, account: str) -> frozenset[str] | None:
    """The structures whose audit the account reads; None for all, also rows of no structure."""
    return None if config.accounts is None else operator(config, account).structures(Role.ADMINISTRATOR)
