"""The `--site` option that most commands share, and commands on the same site to paste."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from router.runtime.site_services import SiteServices

SiteOption = Annotated[
    Path, typer.Option("--site", "-s", help="The site file.", envvar="SEGUR_SITE", show_default=True)
]
DEFAULT_SITE = Path("router.yaml")
JsonOption = Annotated[bool, typer.Option("--json", help="For programs.")]


def paste(*words: str, site: Path) -> str:
    """A command as the operator can paste it: under the name that this one was called by, on the same site."""
    return " ".join([called(), *words, *([] if site == DEFAULT_SITE else ["--site", str(site)])])


def called() -> str:
    """The name that this command was called by, as it can be pasted from any folder."""
    own = Path(sys.argv[0])
    return (
        str(own.absolute()) if own.name == "segur-router" and shutil.which("segur-router") is None else "segur-router"
    )


@contextmanager
def open_site(site: Path) -> Iterator[SiteServices]:
    """The services of a site, for a command."""
    from router.config.site import Site
    from router.observe import logs
    from router.runtime.site_services import SiteServices

    logs.configure(level="WARNING")
    services = SiteServices(Site(site))
    try:
        yield services
    finally:
        services.close()
