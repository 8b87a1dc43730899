"""The `--site` option that most commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SiteOption = Annotated[
    Path, typer.Option("--site", "-s", help="The site file.", envvar="SEGUR_SITE", show_default=True)
]
DEFAULT_SITE = Path("router.yaml")
JsonOption = Annotated[bool, typer.Option("--json", help="For programs.")]
