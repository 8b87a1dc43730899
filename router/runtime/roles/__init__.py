"""The roles, each one process (or several) of a machine. A role's module is imported by its own process only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Final, Protocol, cast

from router.errors import OperatorFault
from router.language import filled

if TYPE_CHECKING:
    from router.runtime.site_services import SiteServices

Ready = Callable[[Mapping[str, str]], None]
"""Called once a role works, with the ports it listens on, by name."""

#: Role -> its module and class.
_KINDS: Final[Mapping[str, tuple[str, str]]] = {
    "gateway": ("gateway", "GatewayRole"),
    "pipelines": ("pipelines", "PipelinesRole"),
    "sinks": ("sinks", "SinksRole"),
    "feedback": ("feedback", "FeedbackRole"),
    "journal": ("journal", "JournalRole"),
}
MODULES: Final[Mapping[str, str]] = {"console": "router.console.process"}
"""Role -> the module that its process runs. The console stands on a higher floor; all others are above."""
ROLES: Final = (*_KINDS, *MODULES)


class Role(Protocol):
    """One role of one process. `ready` is called once it works."""

    def run(self, ready: Ready) -> None: ...

    def stop(self) -> None:
        """Drain and return from `run`. From a signal handler."""
        ...


def open_role(name: str, services: SiteServices, slot: int) -> Role:
    """Raises `OperatorFault` in one sentence for what a person must mend."""
    if name not in _KINDS:
        raise OperatorFault("ROLE", name, filled("no such role: one of {names}", names=", ".join(ROLES)))
    module, kind = _KINDS[name]
    return cast(Role, getattr(import_module(f"{__name__}.{module}"), kind)(services, slot))
