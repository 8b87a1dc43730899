"""What every test shares: the root on the path, English screens unless a test asks for French, and who runs alone.

The suite runs in several processes (`-n`), each with a broker and a database server of its own. A test with the marker
`alone` measures time or memory: while it runs, the other processes wait between two tests (tests/together.py).
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.nodes import Item

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
UMASK = 0o022
os.umask(UMASK)
os.environ["SEGUR_LANG"] = "en"  # also of the processes that tests start
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # hundreds of them: each would compile every module anew
sys.dont_write_bytecode = False

from tests.together import ALONE, Room, long_files_first  # noqa: E402  # the root is on the path now

ROOM = Room(Path(__file__), ROOT / "pyproject.toml")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[Item]) -> None:
    """The processes of one session take the files that take long first."""
    if hasattr(config, "workerinput"):
        items[:] = long_files_first(items)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: Item, nextitem: Item | None) -> Iterator[None]:
    """A test that wants to be alone waits for the others, and they for it. Its time limit does not run meanwhile.

    Not so in a pytest that a test starts: its test waits for it, and holds the room.
    """
    if not hasattr(item.config, "workerinput"):
        return (yield)
    alone, then = (one is not None and one.get_closest_marker(ALONE) is not None for one in (item, nextitem))
    with ROOM.entered(alone=alone, then=then):
        return (yield)


@pytest.fixture(autouse=True)
def _process_as_it_was() -> Iterator[None]:
    """What a command changes of the process that runs it (its umask, its log) is gone before the next test begins."""
    yield
    os.umask(UMASK)
    logging.disable(logging.NOTSET)
    for name, one in logging.Logger.manager.loggerDict.items():
        if name.partition(".")[0] == "router" and isinstance(one, logging.Logger):
            one.setLevel(logging.NOTSET)
            one.disabled, one.propagate = False, True


@pytest.fixture(autouse=True)
def _language_of_this_test() -> Iterator[None]:
    """What `--lang` chooses ends with the test."""
    from router.language import in_language, language

    with in_language(language()):
        yield


@pytest.fixture
def french() -> Iterator[None]:
    """The screens in French."""
    from router.language import in_language

    with in_language("fr"):
        yield
