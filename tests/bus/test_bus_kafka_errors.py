"""Every exception of kafka-python has one of our meanings; a new class of theirs fails here, not in production."""

from __future__ import annotations

import ssl

import pytest
from kafka import errors

from router.bus.kafka.errors import AGAIN, FENCED, MESSAGE, OPERATOR, mapped, trouble
from router.errors import Fenced, Invalid, OperatorFault, RouterError, Unavailable

CLASSES = sorted(
    {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.KafkaError)},
    key=lambda kind: kind.__name__,
)


def made(kind: type[Exception]) -> Exception:
    return kind({}) if kind is errors.LogTruncationError else kind()


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_kafka_error_is_decided(kind: type[errors.KafkaError]) -> None:
    """Retriable, or named in exactly one table; and it leaves as one of our four branches."""
    tables = [kind in FENCED, kind in MESSAGE, kind in OPERATOR, kind in AGAIN]
    assert sum(tables) == (0 if kind.retriable else 1), "name it in one table of router.bus.kafka.errors"
    found = trouble(made(kind))
    wanted = (Fenced, Invalid, OperatorFault, Unavailable)
    expected = next((branch for branch, named in zip(wanted, tables, strict=True) if named), Unavailable)
    assert type(found) is expected
    assert found.code.startswith("KAFKA-")


def test_no_text_of_the_client_is_repeated() -> None:
    """An error of the client may quote a key or a value: ours keeps its class only."""
    error = trouble(errors.MessageSizeTooLargeError("DUPONT Marie 2 84 05"))
    assert "DUPONT" not in f"{error!r} {error}"


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (ConnectionRefusedError(), Unavailable),
        (TimeoutError(), Unavailable),
        (RuntimeError("NetworkSelector closed!"), Unavailable),
        (ssl.SSLCertVerificationError(), OperatorFault),
        (FileNotFoundError(), OperatorFault),
    ],
)
def test_errors_of_the_system_are_mapped_too(raised: Exception, expected: type[RouterError]) -> None:
    """Sockets, TLS and certificate files: nothing foreign leaves."""
    with pytest.raises(expected), mapped():
        raise raised


def test_our_own_errors_pass_unchanged() -> None:
    """A callback's or a nested call's error keeps its type and code."""
    with pytest.raises(Fenced) as caught, mapped():
        raise Fenced("X")
    assert caught.value.code == "X"
