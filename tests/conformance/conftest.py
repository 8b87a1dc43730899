"""What the judges of this folder share: the jars, once; what really left, once."""

from __future__ import annotations

import pytest

from router.simulators.authority import Certificates
from tests.conformance import jvm
from tests.conformance.leaving import Sent, metadata_of_mails, requests_to_the_dmp
from tests.sinks.dmp_world import hospitals


@pytest.fixture(scope="session")
def jars() -> None:
    """The Java judges can run."""
    jvm.fetch()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return hospitals(tmp_path_factory)


@pytest.fixture(scope="session")
def sent(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> list[Sent]:
    """Every request that the DMP received."""
    return requests_to_the_dmp(certificates, tmp_path_factory.mktemp("dmp") / "dump")


@pytest.fixture(scope="session")
def archives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """METADATA.XML of every mail, by story."""
    return metadata_of_mails(tmp_path_factory.mktemp("mss"))
