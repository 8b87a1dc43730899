"""What is said to a server and what it answers, heard by whoever made the call: the traces (mssante §11).

A sink or the reader of a mailbox says it where it happens; the engine listens around the call and puts it into the
receipt, so that it is durable with what it is about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final

from router.errors import RouterError
from router.exchange import Spoken

Heard = list[Spoken]
_MOST: Final = 100
"""Lines of one call that are kept: a conversation has ten."""
_listener: ContextVar[_Listener | None] = ContextVar("listener", default=None)


@dataclass(frozen=True, slots=True)
class _Listener:
    heard: Heard
    now: Callable[[], float]
    most: int


@dataclass(slots=True)
class Answer:
    """What a request came to, said by the block that makes it. `answer`: codes only, never a server's words."""

    answer: str = ""
    ok: bool = True
    facts: dict[str, str] = field(default_factory=dict)


@contextmanager
def listening(now: Callable[[], float], most: int = _MOST) -> Iterator[Heard]:
    """Hear what is said within the block, also by tasks and threads that it starts (asyncio). `now`: Unix seconds."""
    heard: Heard = []
    token = _listener.set(_Listener(heard, now, most))
    try:
        yield heard
    finally:
        _listener.reset(token)


@contextmanager
def saying(
    protocol: str,
    server: str,
    author: str,
    action: str,
    request: str = "",
    facts: Mapping[str, str] | None = None,
    *,
    good: str = "",
) -> Iterator[Answer]:
    """One request: the block makes it and says what the answer was. A fault is an answer too, and goes on.

    good: the answer of a block that ends well and says none
    """
    answer = Answer(facts=dict(facts or {}))
    try:
        yield answer
    except RouterError as fault:
        answer.answer, answer.ok = " ".join(filter(None, (answer.answer, fault.code))), False
        raise
    except BaseException as error:
        answer.answer, answer.ok = answer.answer or type(error).__name__, False
        raise
    else:
        answer.answer = answer.answer or good
    finally:
        listener = _listener.get()
        if listener is not None and len(listener.heard) < listener.most:
            listener.heard.append(
                Spoken(
                    at=listener.now(),
                    protocol=protocol,
                    server=server,
                    author=author,
                    action=action,
                    request=request,
                    answer=answer.answer,
                    ok=answer.ok,
                    facts=answer.facts,
                )
            )
