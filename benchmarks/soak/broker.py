"""A Kafka broker that can be killed and started again on its folder and port, and frozen."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

from router.demo.services import BROKER

START_SECONDS = 120.0


class RestartableBroker:
    """One node of `deploy/dev/kafka/broker`. `start` after `kill` finds every record that was acknowledged."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self.pid = 0
        self._script: asyncio.subprocess.Process | None = None

    @property
    def servers(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Returns when it accepts connections. Raises RuntimeError with the end of its log when it does not."""
        environment = {name: value for name, value in os.environ.items() if name != "KAFKA_BOOTSTRAP_SERVERS"}
        command = [str(BROKER), "--follow-parent", "--port", str(self.port), "--folder", str(self.folder)]
        self._script = await asyncio.create_subprocess_exec(
            sys.executable, *command, stdout=asyncio.subprocess.PIPE, env=environment
        )
        assert self._script.stdout is not None
        try:
            async with asyncio.timeout(START_SECONDS):
                async for line in self._script.stdout:
                    name, _, value = line.decode().strip().partition("=")
                    if name == "KAFKA_PID":
                        self.pid = int(value)
                        return
        except TimeoutError:
            self._script.kill()
        await self._script.wait()
        raise RuntimeError(f"the broker did not start: see {self.folder}/broker.log")

    async def kill(self) -> None:
        """SIGKILL: what it acknowledged is in the system's page cache, and stays."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        if self._script is not None:
            await self._script.wait()

    def freeze(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGCONT)

    async def stop(self) -> None:
        if self._script is None or self._script.returncode is not None:
            return
        self.thaw()
        self._script.terminate()
        await self._script.wait()
