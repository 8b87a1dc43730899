"""How every command speaks: the operator's language, one sentence for a failure, JSON where a program reads, exit codes
that mean something.

| code | meaning |
|---|---|
| 0 | done, and the answer is good |
| 1 | done, and the answer is bad: a refusal, a failed example, an outcome that differs |
| 2 | the command or a file of the operator's is wrong: nothing was done |
| 3 | something needed is away (bus, database, listener): try again later |
| 4 | a bug of ours: the sentence says where, never what the values were |
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from router.errors import ConfigFault, Problem, RouterError, Unavailable
from router.language import _, plural, translated
from router.printable import printable, printable_json, printable_lines


class _Console(Console):
    """The terminal: no text that is printed holds a control character but line feed and tab, whoever wrote it."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(printable_lines(text), **options)


console: Console = _Console(highlight=False)
errors: Console = _Console(stderr=True, highlight=False)


class Exit(IntEnum):
    GOOD = 0
    BAD = 1
    USAGE = 2
    AWAY = 3
    BUG = 4


def said(value: object) -> str:
    """A value that we did not write, on one line, inside our markup: neither the terminal nor the markup obeys it."""
    return escape(printable(str(value)))


def told(text: str) -> str:
    """A text of ours that is stored or was raised, in the language of this process."""
    return said(translated(text))


def described(problem: Problem) -> str:
    """A problem of a file: its place, what is wrong, what to write instead."""
    path = f"{problem.path}: " if problem.path else ""
    hint = f" ({translated(problem.hint)})" if problem.hint else ""
    return said(f"{_near(problem.file)}:{problem.line}:{problem.column}: {path}{translated(problem.text)}{hint}")


def _near(file: str) -> str:
    """A file as somebody here would type it: lines of a terminal are short."""
    try:
        return str(Path(file).relative_to(Path.cwd()))
    except (ValueError, OSError):  # elsewhere; a folder that is gone
        return file


def sentence_of(fault: RouterError) -> str:
    """A fault in one sentence: its code, where, and what it says."""
    text = translated(fault.text).replace("\n", " ")
    if not fault.place:
        return f"{fault.code}: {text}" if text else fault.code
    return _("{code} at {place}: {text}", code=fault.code, place=fault.place, text=text).rstrip(": ")


def confirm(question: str) -> None:
    """Go on only when the person says yes, in French or in English; else end with 1, nothing done."""
    console.print(f"{said(question)} {escape(_('[y/N]'))} ", end="")
    try:
        answer = input()
    except EOFError:
        answer = ""
    if answer.strip().lower() not in ("o", "oui", "y", "yes"):
        fail(_("nothing was done"), Exit.BAD)


def fail(sentence: str, code: Exit = Exit.USAGE) -> NoReturn:
    """End with one sentence on the standard error."""
    errors.print(f"[bold red]segur-router:[/] {said(sentence)}", soft_wrap=True)
    raise SystemExit(int(code))


def show_json(value: Any) -> None:
    """Print a value as JSON on the standard output, readable by `jq`."""
    print(printable_json(value, indent=2))


@contextmanager
def one_sentence() -> Iterator[None]:
    """No traceback reaches an operator: our faults become a sentence and an exit code."""
    try:
        yield
    except ConfigFault as fault:
        for problem in fault.problems:
            errors.print(f"[red]✗[/] {described(problem)}", soft_wrap=True)
        count = len(fault.problems)
        fail(plural("{count} problem to correct", "{count} problems to correct", count))
    except Unavailable as fault:
        fail(sentence_of(fault), Exit.AWAY)
    except RouterError as fault:
        fail(sentence_of(fault))
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except OSError as error:  # a folder that can't be written, a port in use, a disk that is full
        where = f"{error.filename}: " if error.filename else ""
        fail(f"{where}{translated(error.strerror or type(error).__name__)}")
    except Exception as error:  # its text may quote a message: only the class and the place are shown
        frames = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in frames if "/router/" in frame.filename] or frames
        place = f"{ours[-1].filename.rpartition('/router/')[2]}:{ours[-1].lineno}" if ours else "?"
        name = type(error).__name__
        fail(_("unexpected {error} at {place}: a bug of ours, please report it", error=name, place=place), Exit.BUG)
