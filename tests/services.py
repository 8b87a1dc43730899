"""Real services for the suite: one Kafka broker and one PostgreSQL server per session, started when first asked for.

A test module imports the fixtures that it uses:

    from tests.services import kafka_servers, postgresql_url  # noqa: F401

Never a silent skip: what is missing is installed when we may (root on Debian), otherwise the test fails and
says what to install. `KAFKA_BOOTSTRAP_SERVERS` and `SEGUR_TEST_POSTGRESQL` (a URL whose user may create
databases) use existing ones instead.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import uuid
from collections.abc import Iterator

import psycopg
import pytest

from router.demo.services import Broker, PostgresServer, running_broker

__all__ = ["Broker", "PostgresServer", "running_broker"]


@functools.cache
def shared_broker() -> Broker:
    """The session's broker."""
    opened = contextlib.ExitStack()
    atexit.register(opened.close)
    return opened.enter_context(running_broker())


@pytest.fixture
def kafka_servers() -> str:
    """Bootstrap address of the session's broker."""
    return shared_broker().servers


@functools.cache
def shared_postgresql() -> str:
    """URL of the session's server; its user may create databases."""
    existing = os.environ.get("SEGUR_TEST_POSTGRESQL")
    if existing:
        return existing
    server = PostgresServer()
    atexit.register(server.remove)
    server.start()
    return server.url


@pytest.fixture
def postgresql_url() -> Iterator[str]:
    """URL of a new, empty database of the session's server; dropped after the test."""
    server, name = shared_postgresql(), f"segur_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield f"{server.rpartition('/')[0]}/{name}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def own_postgresql() -> Iterator[PostgresServer]:
    """A server of one's own, for a test that stops it."""
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()
