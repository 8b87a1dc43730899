"""Our own version, for what we send and for what we keep; and which optional packages are there."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Final

TRACES: Final = "opentelemetry.exporter.otlp.proto.http"
"""The module that the extra `traces` brings."""


@cache
def our_version() -> str:
    """As installed; "" in a checkout that is not."""
    try:
        return version("segur-router")
    except PackageNotFoundError:
        return ""


def installed(module: str) -> bool:
    """Whether a module of an optional package is there; nothing is imported but its parents."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
