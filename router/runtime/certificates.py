"""`certificate_expiry_timestamp_seconds`: certificates of ours that the site file names, looked at every minute."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from router.config.site_models import SiteConfig
from router.contracts import Observer
from router.sinks.certificates import expires

LOOK_SECONDS: Final = 60.0


def named(config: BaseModel | None, name: str) -> Iterator[tuple[str, Path]]:
    """(`dmp.chu/auth`, file) of each key `certificate` in a part of the site file, however deep it stands."""
    for field in type(config).model_fields if config is not None else ():
        value = getattr(config, field)
        if field == "certificate" and isinstance(value, Path):
            yield name, value
        elif isinstance(value, BaseModel):
            yield from named(value, f"{name}/{field}")


def listeners(config: SiteConfig) -> dict[str, BaseModel | None]:
    """The parts of the site file that listen, by the name under which operators know them."""
    return {f"feed {name}": feed for name, feed in config.feeds.items()} | {
        "http": config.http,
        "console": config.console,
    }


def certificates_of(config: SiteConfig) -> dict[str, Path]:
    """Every certificate of ours that the site file names: name -> file."""
    parts = listeners(config) | dict(config.sinks) | {"bus": config.bus}
    return dict(found for name, part in parts.items() for found in named(part, name))


class Expiries:
    """A thread of the process that uses these certificates. A file that can't be read is told by whoever uses it."""

    def __init__(self, parts: Mapping[str, BaseModel | None], observer: Observer) -> None:
        """`parts`: of the site file, by the name under which operators know them."""
        self._files = dict(found for name, config in parts.items() for found in named(config, name))
        self._observer = observer
        self._stop = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._run, name="certificates", daemon=True).start()

    def stop(self) -> None:
        self._stop.set()

    def look(self) -> None:
        """Set the gauge of each: the Unix time at which it ends."""
        for name, path in self._files.items():
            end = expires(path)
            if end is not None:
                self._observer.set("certificate_expiry_timestamp_seconds", end, name=name)

    def _run(self) -> None:
        while True:
            self.look()
            if self._stop.wait(LOOK_SECONDS):
                return
