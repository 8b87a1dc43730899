"""Our own version, for what we send and for what we keep."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version


@cache
def our_version() -> str:
    """As installed; "" in a checkout that is not."""
    try:
        return version("segur-router")
    except PackageNotFoundError:
        return ""
