"""Local accounts: who may see and do what. Of the structures that one administers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field, SecretStr, StringConstraints

from router.access import passwords
from router.access import rights as rights_of
from router.access.accounts import Account as Kept
from router.access.person import Role
from router.access.rights import checked_name
from router.access.tokens import API_ADMINISTER
from router.audit.event import Action
from router.console import managing
from router.console.api.operation import Input, Operation, Output, PerPage, Run, Text, moment
from router.console.api.problems import Refused
from router.console.visit import Visit
from router.errors import OperatorFault
from router.language import N_
from router.runtime import grants

AccountName = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f/]{1,64}$")]
RoleName = Literal["reader", "operator", "administrator"]
Structure = Annotated[str, StringConstraints(pattern=r"^(\*|[0-9A-Z]{9})$")]
RIGHTS: Final = N_("role by FINESS of a structure; `*` for all")


class AccountsWanted(Input):
    after: Text = Field(default="", description=N_("`next` of the page before"))
    per: PerPage = Field(default=50, description=N_("how many at most"))


class OneAccount(Input):
    name: AccountName


class NewAccount(OneAccount):
    name: AccountName = Field(description=N_("as it is typed at login"))
    password: SecretStr = Field(description=N_("twelve characters or more"), max_length=passwords.LONGEST)
    rights: dict[Structure, RoleName] = Field(description=RIGHTS, min_length=1)
    shown: Text = Field(default="", description=N_("as other people call this person"))


class NewRights(OneAccount):
    rights: dict[Structure, RoleName] = Field(description=RIGHTS, min_length=1)


class NewPassword(OneAccount):
    password: SecretStr = Field(description=N_("twelve characters or more"), max_length=passwords.LONGEST)


class Account(Output):
    made: ClassVar[str] = "name"
    name: str = Field(description=N_("stable: it names this account for ever"))
    shown: str
    rights: dict[str, str] = Field(description=RIGHTS)
    totp: bool = Field(description=N_("it gives a code at each login, besides the password"))
    locked: bool
    waits_until: datetime | None = Field(description=N_("logins are refused until then, after wrong ones"))
    demo: bool
    created: datetime | None
    last_login: datetime | None


class Accounts(Output):
    accounts: list[Account] = Field(description=N_("by name"))
    next: str = Field(description=N_("give it as `after` for the next page; empty on the last one"))


def accounts(visit: Visit, given: AccountsWanted) -> Accounts:
    """Those that give nothing outside of the structures that the person administers."""
    found = [one for one in managing.accounts(visit) if one.name > given.after]
    rows = found[: given.per]
    return Accounts(accounts=[_account(one) for one in rows], next=rows[-1].name if len(found) > given.per else "")


def account(visit: Visit, given: OneAccount) -> Account:
    return _account(managing.account(visit, given.name))


def add(visit: Visit, given: NewAccount) -> Account:
    """Raises `Refused` (409) for a name that is taken, `OperatorFault` (422), `NotAllowed`, `Unavailable`."""
    store, name, held = visit.tools.access.accounts, checked_name(given.name), _rights(visit, given.rights)
    passwords.check(given.password.get_secret_value(), name, given.shown)
    if store.find(name) is not None:
        raise Refused(409, "ACCESS-TAKEN", _TAKEN)
    managing.note(visit, Action.ACCOUNT, name, held, f"add {managing.told(held)}")
    try:
        store.add(name, given.password.get_secret_value(), held, shown=given.shown)
    except OperatorFault as fault:
        if fault.code != "ACCESS-TAKEN":
            raise
        raise Refused(409, fault.code, _TAKEN) from fault
    return _account(managing.account(visit, name))


def set_rights(visit: Visit, given: NewRights) -> Account:
    found, held = managing.account(visit, given.name), _rights(visit, given.rights)
    managing.note(visit, Action.ACCOUNT, found.name, {**found.rights, **held}, f"rights {managing.told(held)}")
    visit.tools.access.accounts.set_rights(found.name, held)
    return _account(managing.account(visit, found.name))


def set_password(visit: Visit, given: NewPassword) -> Account:
    """Its open sessions end. Raises `OperatorFault` (`ACCESS-PASSWORD`)."""
    store, new = visit.tools.access.accounts, given.password.get_secret_value()
    found = managing.account(visit, given.name)
    managing.may_give_account(visit, found.rights)
    store.objection(found.name, new)
    return _changed(visit, found, "password", lambda name: store.set_password(name, new))


def totp_off(visit: Visit, given: OneAccount) -> Account:
    return _changed(visit, managing.account(visit, given.name), "totp off", visit.tools.access.accounts.remove_totp)


def lock(visit: Visit, given: OneAccount) -> Account:
    return _changed(visit, managing.account(visit, given.name), "lock", visit.tools.access.accounts.lock)


def unlock(visit: Visit, given: OneAccount) -> Account:
    return _changed(visit, managing.account(visit, given.name), "unlock", visit.tools.access.accounts.unlock)


def remove(visit: Visit, given: OneAccount) -> Account:
    """As it was."""
    found = managing.account(visit, given.name)
    managing.note(visit, Action.ACCOUNT, found.name, found.rights, "remove")
    visit.tools.access.accounts.remove(found.name)
    return _account(found)


_TAKEN: Final = N_("this name can't be taken: choose another one")


def _changed(visit: Visit, found: Kept, what: str, change: Callable[[str], None]) -> Account:
    managing.note(visit, Action.ACCOUNT, found.name, found.rights, what)
    change(found.name)
    return _account(managing.account(visit, found.name))


def _rights(visit: Visit, given: Mapping[str, str]) -> Mapping[str, Role]:
    """What this person gives to an account. Raises `NotAllowed`; `OperatorFault` for what the site has not.

    In this order: who may not give it is not told whether there is such a structure.
    """
    held = rights_of.rights(given.items())
    managing.may_give_account(visit, held)
    grants.possible(managing.known(visit), held)
    return held


def _account(one: Kept) -> Account:
    return Account(
        name=one.name,
        shown=one.shown,
        rights={finess: role.name.lower() for finess, role in one.rights.items()},
        totp=one.totp,
        locked=one.locked,
        waits_until=moment(one.waits),
        demo=one.demo,
        created=moment(one.created),
        last_login=moment(one.last_login),
    )


def _operation(name: str, does: str, run: Run, word: str = "", takes: type[Input] = OneAccount) -> Operation:
    """One account: looked at, or changed by a POST to a word behind it."""
    return Operation(
        name=name,
        path=f"/accounts/{{name}}/{word}".rstrip("/"),
        method="POST" if word else "GET",
        does=does,
        run=run,
        takes=takes,
        gives=Account,
        scope=API_ADMINISTER,
        role=Role.ADMINISTRATOR,
    )


OPERATIONS: Final = (
    Operation(
        name="accounts",
        path="/accounts",
        does=N_("Local accounts, of the structures that one administers."),
        run=accounts,
        takes=AccountsWanted,
        gives=Accounts,
        scope=API_ADMINISTER,
        role=Role.ADMINISTRATOR,
    ),
    Operation(
        name="addAccount",
        path="/accounts",
        method="POST",
        does=N_("Make an account. It may do nothing that its maker may not."),
        run=add,
        takes=NewAccount,
        gives=Account,
        status=201,
        scope=API_ADMINISTER,
        role=Role.ADMINISTRATOR,
        rate="30/minute",
        conflicts=True,
    ),
    _operation("account", N_("One account: rights, second factor, locked or waiting, last login."), account),
    _operation(
        "setAccountRights",
        N_("Give these rights in the place of those it has; open sessions have them at their next page."),
        set_rights,
        "rights",
        NewRights,
    ),
    _operation(
        "setAccountPassword", N_("Give another password; its open sessions end."), set_password, "password", NewPassword
    ),
    _operation(
        "removeAccountTotp", N_("Take the second factor away (a telephone that was lost)."), totp_off, "totp-off"
    ),
    _operation("lockAccount", N_("Refuse logins from now on, and end the open sessions."), lock, "lock"),
    _operation("unlockAccount", N_("Undo a lock; also end the wait after wrong logins."), unlock, "unlock"),
    _operation(
        "removeAccount", N_("Remove an account and end its sessions; what it did stays in the audit."), remove, "remove"
    ),
)
