"""The text of a profile's `router.yaml`: the files of `sections/`, commented in French, with the profile's values."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from string import Template
from typing import Final

from router.starter.profiles import Feed, Hospital, Profile

_SECTIONS: Final = Path(__file__).parent / "sections"


def site_text(profile: Profile, bus: str = "sqlite") -> str:
    """The whole site file. `bus`: `sqlite` or `kafka`."""
    return "".join(_parts(profile, bus))


def _parts(profile: Profile, bus: str) -> Iterator[str]:
    yield _section("head", profile=profile.name)
    if bus == "kafka":
        yield _section("kafka")
    yield _section("structures")
    yield from map(_structure, profile.hospitals)
    if len(profile.hospitals) > 1:
        yield _section("facilities")
        for one in profile.hospitals:
            yield f'  {one.structure.ipp_namespace}: "{one.structure.finess}"\n'
    yield _section("feeds")
    yield from map(_feed, profile.feeds)
    if profile.http is not None:
        yield _section("http", port=profile.http)
    yield _section("admin", port=profile.admin)
    yield _section("console")
    yield _section("sinks")
    for one in profile.hospitals:
        yield _section("dmp", instance=one.instance, finess=one.structure.finess, port=profile.dmp)
    for one in profile.hospitals:
        finess = one.structure.finess
        yield _section("mssante", instance=one.instance, finess=finess, port=profile.smtp, imap=profile.imap)
    for instance, (port, what) in profile.endpoints.items():
        yield _section("hl7", instance=instance, port=port, what=what)
    yield _section("directory")


def _section(section: str, /, **values: object) -> str:
    text = (_SECTIONS / f"{section}.txt").read_text(encoding="utf-8")
    return Template(text).substitute(values)


def _structure(one: Hospital) -> str:
    own = one.structure
    return _section(
        "structure",
        finess=own.finess,
        name=own.name,
        source_oid=one.source_oid,
        ipp_oid=own.ipp_oid,
        mailbox=one.mailbox,
        instance=one.instance,
    )


def _feed(feed: Feed) -> str:
    """Only what its kind needs: `Template` leaves values that a section does not name."""
    return _section(
        feed.kind,
        feed=feed.name,
        port=feed.port,
        reply=feed.reply or feed.name,
        http="    http: true\n" if feed.http else "",
        structures=", ".join(f'"{one.structure.finess}"' for one in feed.hospitals),
        authorities="\n".join(f'        "{one.authority}": {one.structure.ipp_oid}' for one in feed.hospitals),
    )
