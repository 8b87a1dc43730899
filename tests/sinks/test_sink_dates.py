"""Dates of less than a second, and without an offset, from the CDA to the registry and to the archive (dmp §2.1)."""

from __future__ import annotations

import asyncio
import io
import re
import zipfile
from dataclasses import replace
from email import message_from_bytes, policy
from pathlib import Path

import pytest

from router.cda.document import read
from router.cda.times import wrong_times
from router.contracts import Attempt
from router.errors import Invalid
from router.simulators.authority import Certificates
from router.simulators.dmp import DmpSimulator
from router.simulators.sender import Maker
from router.sinks.dmp.sink import DmpSink
from tests.cda.cda_samples import cda
from tests.sinks.dmp_world import FIRST, hospitals, kept, made, names, play
from tests.sinks.mssante_samples import delivery, order, sink
from tests.sinks.mssante_server import Script, server
from tests.typed import part_bytes

#: effectiveTime of the CDA -> creationTime of the metadata: UTC, no more precise than it was.
FORMS = {
    "20250106090000+0100": "20250106080000",
    "202501060900+0100": "202501060800",
    "2025010609+0100": "2025010608",
    "2025010600-0930": "202501060930",
    "20250106090000": "20250106080000",
    "2025010609": "2025010608",
    "20250106": "20250106",
    "202501": "202501",
    "2025": "2025",
}


def dated(content: bytes, value: str) -> bytes:
    """The document with another date of creation and of its act; its header is one that the intake takes."""
    made = re.sub(rb'<effectiveTime value="[^"]*"', f'<effectiveTime value="{value}"'.encode(), content, count=1)
    made = re.sub(rb'<low value="[^"]*"', f'<low value="{value}"'.encode(), made)
    assert made != content and wrong_times(read(made).header) == []
    return made


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Throw-away certificates of two hospitals."""
    return hospitals(tmp_path_factory)


def slots(metadata: str, name: str) -> list[str]:
    """The values of a slot in ebXML."""
    return re.findall(rf'name="{name}">\s*<[^>]*ValueList>\s*<[^>]*Value>([^<]*)<', metadata)


def test_the_registry_takes_dates_of_every_precision(certificates: Certificates, tmp_path: Path) -> None:
    """Hour, day, month or year; a time without offset is that of the site's zone."""
    maker = Maker(31)
    samples = [maker.document("biology", maker.patient(age=50)) for _ in FORMS]

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        for sample, (value, expected) in zip(samples, FORMS.items(), strict=True):
            one = made(replace(sample, content=dated(sample.content, value)))
            await sink.deliver(one, FIRST)
            assert sample.uid in dmp.documents
            sent = kept(tmp_path, one, "td2.1-request").decode("utf-8", "replace")
            assert expected in slots(sent, "creationTime")
            assert expected in slots(sent, "serviceStartTime")

    play(certificates, story, keep=tmp_path)


def test_a_site_may_refuse_times_without_offset(certificates: Certificates) -> None:
    """`naive_time: ''`: nobody guesses the zone, the DMP is not even called; a plain date is no such time."""
    maker = Maker(32)
    naive, plain = (maker.document("biology", maker.patient(age=50)) for _ in range(2))

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        with pytest.raises(Invalid) as caught:
            await sink.deliver(made(replace(naive, content=dated(naive.content, "2025010609"))), FIRST)
        assert caught.value.code == "XDS-DTM"
        assert names(dmp) == []
        await sink.deliver(made(replace(plain, content=dated(plain.content, "20250106"))), FIRST)
        assert plain.uid in dmp.documents

    play(certificates, story, naive_time="")


@pytest.mark.parametrize(("value", "expected"), FORMS.items())
def test_the_archive_says_the_same_date(tmp_path: Path, value: str, expected: str) -> None:
    """A mail with such a date leaves, and its METADATA.XML holds the date in UTC."""
    document = dated(cda(), value)
    script = Script()

    async def main() -> None:
        async with server(script) as port:
            sending = sink(tmp_path, port)
            try:
                await sending.deliver(delivery(order((document,)), (document,)), Attempt(1, 1_795_000_000.0))
            finally:
                await sending.close()

    asyncio.run(main())
    mail = message_from_bytes(script.mails[0], policy=policy.default)
    packed = next(part for part in mail.iter_attachments() if part.get_content_type() == "application/zip")
    with zipfile.ZipFile(io.BytesIO(part_bytes(packed))) as archive:
        metadata = archive.read("IHE_XDM/SUBSET01/METADATA.XML").decode()
    assert slots(metadata, "creationTime") == [expected]
