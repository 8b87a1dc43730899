"""The simulated identity provider in a thread of its own, and the console's side of a login there."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from router.config.console_models import OidcConfig
from router.simulators.idp import IdpConfig, IdpSimulator

CLIENT_SECRET = "demo-secret"
GROUPS = {
    "pfi-lecture": {"750100125": "reader"},
    "pfi-exploitation": {"750100125": "operator", "750100208": "reader"},
    "pfi-administration": {"*": "administrator"},
}


@contextmanager
def provided(config: IdpConfig | None = None) -> Iterator[IdpSimulator]:
    """A provider that answers, until the block ends."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    simulator = IdpSimulator(config)
    try:
        asyncio.run_coroutine_threadsafe(simulator.__aenter__(), loop).result(30)
        yield simulator
        asyncio.run_coroutine_threadsafe(simulator.__aexit__(), loop).result(30)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def configured(issuer: str, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> OidcConfig:
    monkeypatch.setenv("OIDC_SECRET", CLIENT_SECRET)
    written = {"issuer": issuer, "client_id": "segur-router", "client_secret": {"env": "OIDC_SECRET"}, "groups": GROUPS}
    return OidcConfig.model_validate(written | changes)
