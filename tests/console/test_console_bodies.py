"""The body of a POST has a limit of bytes and of time, for pages and for programs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from router.access.person import Role
from router.console import bodies
from tests.console.console_world import A, World


@pytest.mark.parametrize("path", ["/api/messages/find", "/search"])
def test_a_body_that_does_not_come_is_given_up(
    path: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peer that sends a byte and then nothing gets 400, and holds nothing any longer."""
    monkeypatch.setattr(bodies, "SECONDS", 0.05)
    world = World(tmp_path_factory.mktemp("bodies"))
    program = world.program({A: Role.READER})

    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(30)

    kind = "application/json" if path.startswith("/api") else "application/x-www-form-urlencoded"
    asked = program._client.post(path, content=slow(), headers={"content-type": kind})
    try:
        assert asyncio.run(asyncio.wait_for(asked, 10)).status_code == 400
    finally:
        world.close()
