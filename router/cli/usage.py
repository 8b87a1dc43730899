"""A command that was typed wrong, in the operator's language: what typer and pydantic say of it is for programmers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from typer import Context
from typer._click.exceptions import (  # typer exports `BadParameter` alone
    BadParameter,
    MissingParameter,
    NoArgsIsHelpError,
    NoSuchOption,
    UsageError,
)

from router.cli.output import Exit, errors, said
from router.language import N_, T_, _, translated

_THEIRS: Final = (
    N_("Missing command."),
    T_("No such command '{name}'."),
    T_("No such command '{name}'. Did you mean {names}?"),
    T_("Got unexpected extra argument(s) ({names})"),
    T_("Option '{name}' requires an argument."),
    T_("Option '{name}' does not take a value."),
    T_("file '{name}' does not exist."),
    T_("file '{name}' is a directory."),
    T_("file '{name}' is not readable."),
    T_("path '{name}' does not exist."),
    T_("path '{name}' is not readable."),
    T_("'{name}' is not one of {names}."),
)
"""Sentences of typer that need no other words, only a translation."""


@contextmanager
def usage_told(ctx: Context) -> Iterator[None]:
    """In place of typer's panel: one sentence, the help to ask for, and the exit code of a wrong command.

    ctx: of the whole; an error of typer's does not always know its command
    """
    try:
        yield
    except NoArgsIsHelpError:
        raise
    except UsageError as error:
        named = f"{ctx.command_path} {ctx.invoked_subcommand or ''}".strip()
        words = error.ctx.command_path if error.ctx is not None else named
        errors.print(f"[bold red]segur-router:[/] {said(sentence_of_usage(error))}", soft_wrap=True)
        errors.print(f"  → {said(f'{words} --help')}", style="dim", soft_wrap=True)
        raise SystemExit(int(Exit.USAGE)) from None


def sentence_of_usage(error: UsageError) -> str:
    """What is wrong, naming the option or the argument."""
    if isinstance(error, NoSuchOption):
        from router.config.sentences import nearest

        near = translated(nearest(error.option_name, [one for one in _options(error) if one != "--help"]))
        sentence = _("there is no option {name}", name=error.option_name)
        return _("{text}; {hint}", text=sentence, hint=near) if near else sentence
    if isinstance(error, MissingParameter):
        return _("{name} is missing", name=_name(error))
    if isinstance(error, BadParameter):
        return _("{name}: {reason}", name=_name(error), reason=_reason(error))
    return translated(error.format_message())


def _options(error: UsageError) -> list[str]:
    """Those that the command knows."""
    return [name for one in error.ctx.command.params for name in one.opts if name.startswith("-")] if error.ctx else []


def _name(error: BadParameter) -> str:
    """As it is typed (`--limit`), or as the help names it (`ID`)."""
    param = error.param
    if param is None:
        return ""
    return " / ".join(param.opts) if param.param_type_name == "option" else param.metavar or (param.name or "").upper()


def _reason(error: BadParameter) -> str:
    if error.__cause__ is None:
        return translated(error.message)
    from pydantic import ValidationError

    if isinstance(error.__cause__, ValidationError):
        from router.config.sentences import of_value

        found = error.__cause__.errors()[0]
        return translated(of_value(found["type"], found.get("ctx", {})))
    return translated(error.message)
