"""The Service before the gateways, and senders that go to the other gateway when theirs closes."""

from __future__ import annotations

from benchmarks.soak.checker import Checker
from benchmarks.soak.traffic import ANSWER_SECONDS, Pace, Traffic
from router.simulators.sender.mllp import MllpSender


class Service:
    """Gives each new connection the next of the gateways that are ready; connections that stand stay."""

    def __init__(self) -> None:
        self._ready: list[str] = []
        self._turn = 0

    def join(self, address: str) -> None:
        """A gateway says that it is ready."""
        if address not in self._ready:
            self._ready.append(address)

    def leave(self, address: str) -> None:
        """A gateway is about to go, or does not say that it is ready."""
        if address in self._ready:
            self._ready.remove(address)

    def next(self) -> str:
        """The address for a new connection; one where nobody listens when no gateway is ready."""
        if not self._ready:
            return "127.255.255.254"
        self._turn += 1
        return self._ready[self._turn % len(self._ready)]


class ServiceSender(MllpSender):
    """One connection through the Service; a new one goes where the Service says."""

    def __init__(self, service: Service, port: int) -> None:
        super().__init__(service.next(), port, timeout=ANSWER_SECONDS)
        self._service, self._port = service, port

    def _drop(self, connection: int) -> None:
        super()._drop(connection)
        self._target = (self._service.next(), self._port, None)


class ServiceTraffic(Traffic):
    """The soak's traffic, by way of a Service."""

    def __init__(self, checker: Checker, ports: dict[str, int], seed: int, pace: Pace, service: Service) -> None:
        super().__init__(checker, ports, seed, pace)
        self._service = service

    def _sender(self, feed: str) -> MllpSender:
        return ServiceSender(self._service, self._ports[feed])
