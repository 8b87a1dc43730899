"""A DNS server on loopback whose answers a test chooses (UDP alone)."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import dns.message
import dns.rcode
import dns.rrset
import pytest


@dataclass
class Zone:
    """What the server knows. `asked`: the names, in order. rcode: answered to everything when it is not NOERROR."""

    ttl: int = 300
    records: dict[str, list[str]] = field(default_factory=dict)
    """Name without its final dot -> its SRV records, `priority weight port target`."""
    rcode: dns.rcode.Rcode = dns.rcode.NOERROR
    silent: bool = False
    asked: list[str] = field(default_factory=list)
    port: int = 0

    def answer(self, wire: bytes) -> bytes | None:
        query = dns.message.from_wire(wire)
        (question,) = query.question
        name = question.name.to_text(omit_final_dot=True).lower()
        self.asked.append(name)
        if self.silent:
            return None
        made = dns.message.make_response(query)
        made.set_rcode(self.rcode if self.rcode or name in self.records else dns.rcode.NXDOMAIN)
        if found := self.records.get(name):
            made.answer.append(dns.rrset.from_text_list(question.name, self.ttl, "IN", "SRV", found))
        return made.to_wire()

    @property
    def server(self) -> str:
        """As `decouverte_srv.serveurs` has it."""
        return f"127.0.0.1#{self.port}"


@contextmanager
def serving(zone: Zone) -> Iterator[Zone]:
    """Answers until the block ends."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.bind(("127.0.0.1", 0))
        zone.port = line.getsockname()[1]

        def serve() -> None:
            with suppress(OSError):
                while True:
                    wire, peer = line.recvfrom(4096)
                    if not wire:
                        return
                    if (answer := zone.answer(wire)) is not None:
                        line.sendto(answer, peer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield zone
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
                end.sendto(b"", ("127.0.0.1", zone.port))
            thread.join(5)


def hosts_are_here(monkeypatch: pytest.MonkeyPatch, domain: str) -> None:
    """Every host of a domain is this machine."""
    look_up = socket.getaddrinfo

    def here(host: Any, *given: Any, **named: Any) -> Any:
        return look_up("127.0.0.1" if str(host).endswith(domain) else host, *given, **named)

    monkeypatch.setattr(socket, "getaddrinfo", here)
