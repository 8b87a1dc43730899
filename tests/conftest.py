"""What every test shares: the repository's root on the path, and English screens unless a test asks for French."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ["SEGUR_LANG"] = "en"  # also of the processes that tests start


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
