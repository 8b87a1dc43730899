"""What may be said of any command: `--lang`, the language of its screens; and `--version` in place of one."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from router.cli.usage import usage_told
from router.language import LANGUAGES, VARIABLE, choose, filled
from router.software import our_version

_LANG = "--lang"


class Command(TyperGroup):
    """`segur-router`: takes `--lang` before the name of a command and anywhere behind it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `--lang` where the options of the command itself stand, and obey it before anything is refused."""
        args = _first(args)
        if args[:1] == [_LANG] or (args and args[0].startswith(f"{_LANG}=")):
            asked = args[0].partition("=")[2] or "".join(args[1:2])
            if asked in LANGUAGES:
                choose(asked)
        with usage_told(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; one that was typed wrong ends with our sentence."""
        with usage_told(ctx):
            return super().invoke(ctx)


def _first(args: list[str]) -> list[str]:
    end = args.index("--") if "--" in args else len(args)
    for rank, word in enumerate(args[:end]):
        if word == _LANG or word.startswith(f"{_LANG}="):
            after = rank + (2 if word == _LANG else 1)
            return [*args[rank:after], *args[:rank], *args[after:]]
    return args


def _known(value: str | None) -> str | None:
    if value is not None and value not in LANGUAGES:
        raise typer.BadParameter(filled("one of {names}", names=", ".join(LANGUAGES)))
    return value


def _show(asked: bool) -> None:
    if asked:
        print(f"segur-router {our_version()}")
        raise typer.Exit


def add_to(app: typer.Typer) -> None:
    app.callback()(_options)


def _options(
    shown: Annotated[
        bool, typer.Option("--version", help="Show the version and end.", is_eager=True, callback=_show)
    ] = False,
    lang: Annotated[
        str | None,
        typer.Option(
            _LANG,
            metavar="|".join(LANGUAGES),
            callback=_known,
            help=f"Language of the screens; default: {VARIABLE}, else that of the machine, else French.",
        ),
    ] = None,
) -> None:
    """What stands before the name of a command."""
