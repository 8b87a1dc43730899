"""What is typed as free text on the command line (`--reason`…) must not name a patient: the check of the console."""

from __future__ import annotations

from typing import Annotated

import typer


def unnamed(text: str) -> str:
    """Callback of an option or an argument that is kept and read by others. Raises `typer.BadParameter`."""
    if text:
        from router.console.free_text import named_person

        if fault := named_person(text):
            raise typer.BadParameter(fault)
    return text


JournalledOption = Annotated[str, typer.Option(metavar="TEXT", help="Why; it is journalled.", callback=unnamed)]
AuditedOption = Annotated[str, typer.Option(metavar="TEXT", help="Why; it is audited.", callback=unnamed)]
ViewedOption = Annotated[
    str, typer.Option(metavar="TEXT", help="With --content: why; it is audited.", callback=unnamed)
]
