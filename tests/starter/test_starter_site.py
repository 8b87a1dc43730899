"""The site that `segur-router init` writes: right at once, whole or not there, and never over something."""

from __future__ import annotations

import re
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from router.config.load import Source
from router.config.pipeline import read_folder
from router.config.safety import refusals
from router.config.site import Site
from router.directory.liste_blanche import read
from router.errors import OperatorFault
from router.hl7.message import Message
from router.runtime.examples import play_all
from router.sinks.certificates import structure_of
from router.starter import write
from router.starter.pipeline_files import FIRST, FIRST_ID, PIPELINES, SAMPLES
from router.starter.profiles import BUSES, PROFILES
from router.starter.site_text import site_text
from router.starter.write import SITE, write_site
from tests.cli.cli import command

ROOT = Path(__file__).resolve().parents[2]


WRITTEN = [*((name, BUSES[0]) for name in PROFILES), *(("minimal", bus) for bus in BUSES[1:])]


@pytest.fixture(scope="module", params=WRITTEN, ids="-".join)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A site of each profile, and one on each bus."""
    name, bus = request.param
    folder = tmp_path_factory.mktemp("init") / "site"
    write_site(folder, PROFILES[name], bus)
    return Site(folder / SITE)


def test_a_site_is_right_at_once(site: Site) -> None:
    """Nothing keeps it from running: the site file, its certificates, one pipeline or more for each feed."""
    files, problems = read_folder(site.pipelines, sinks=site.config.sink_types, feeds=set(site.config.feeds))
    assert [*refusals(site), *problems] == []
    assert {feed for file in files.values() for feed in file.config.feeds} == set(site.config.feeds)
    assert {feed.kind for feed in site.config.feeds.values()} == {"documents", "adt", "relay"}


def test_its_examples_pass(site: Site) -> None:
    """`segur-router test` right after `init`."""
    results = play_all(site)
    assert len(results) > 10
    assert [(one.example, one.problems) for one in results if one.problems] == []


def test_every_file_that_it_names_is_there(site: Site) -> None:
    """Certificates of their own structure, keys that nobody else reads, a list that holds the site's own domains."""
    for finess, structure in site.config.structures.items():
        sink = site.config.sinks[structure.sink_of("dmp")]
        for pair in (sink.auth, sink.sign):  # type: ignore[attr-defined]
            assert structure_of(pair.certificate) == f"1{finess}"
            assert stat.S_IMODE(pair.key.stat().st_mode) & 0o077 == 0
    source = Path(site.config.directory.liste_blanche.source)
    domains = {structure.mailbox.rpartition("@")[2] for structure in site.config.structures.values()}
    assert domains <= read(source).domains
    if site.config.secret is not None:
        assert len(site.config.secret.read()) == 64


def test_nothing_outside_this_machine_is_named(site: Site) -> None:
    """No address of another machine stands in the file but in comments."""
    lines = (line.partition("#")[0] for line in site.source.text.splitlines())
    assert {host for line in lines for host in re.findall(r"https?://([^:/]+)|host: (\S+?)[,}]", line)} <= {
        ("127.0.0.1", ""),
        ("", "127.0.0.1"),
    }


def test_the_shipped_site_file_is_that_of_the_profile_hopital() -> None:
    """`router.yaml` of the checkout is what `init --profile hopital` writes."""
    assert (ROOT / "router.yaml").read_text(encoding="utf-8") == site_text(PROFILES["hopital"])


def test_the_shipped_pipelines_name_their_feeds_on_one_line() -> None:
    """That line is replaced by the feeds of the profile; all feeds of the profile `hopital` are read."""
    for file in PIPELINES.glob("*.yaml"):
        feeds = Source(file).data["feed"]
        named = f"[{', '.join(feeds)}]" if isinstance(feeds, list) else feeds
        assert f"\nfeed: {named}\n" in file.read_text(encoding="utf-8")


def test_the_document_to_begin_with_bears_the_number_that_is_told() -> None:
    """`explain` is told with the MSH-10 of the sample that is told to be sent."""
    assert Message.parse((SAMPLES / FIRST).read_bytes()).text("MSH-10") == FIRST_ID


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    """One sentence, nothing touched; so for a file of that name, and for a link that leads nowhere."""
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "link").symlink_to("nowhere")
    for path, sentence in ((tmp_path, "not empty"), (tmp_path / "mine", "not a folder"), (tmp_path / "link", "empty")):
        with pytest.raises(OperatorFault, match=sentence):
            write_site(path, PROFILES["minimal"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "mine"]


@pytest.mark.parametrize("there", [False, True])
def test_a_site_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    """When the last file can't be written nothing stays: no folder, or the empty one that was there."""
    folder = tmp_path / "site"
    if there:
        folder.mkdir()

    def full(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write, "site_text", full)
    with pytest.raises(OSError, match="No space"):
        write_site(folder, PROFILES["minimal"])
    assert [path.name for path in tmp_path.rglob("*")] == (["site"] if there else [])


def test_an_empty_folder_keeps_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`init .`: whoever stands in the folder still stands in it afterwards."""
    monkeypatch.chdir(tmp_path)
    before = tmp_path.stat().st_ino
    said = command("init", ".", "--lang", "en")
    assert (said.code, tmp_path.stat().st_ino) == (0, before)
    assert {path.name for path in tmp_path.iterdir()} == {SITE, "pipelines", "certificates", "liste-blanche.xml"}
    assert "cd " not in said.out
    assert command("check").code == 0


def test_what_is_told_next_can_be_pasted(tmp_path: Path) -> None:
    """Three commands, of this program, in the new folder, whatever its name is."""
    folder = tmp_path / "mon site"
    lines = [line.strip() for line in command("init", str(folder)).out.splitlines() if "&&" in line]
    assert len(lines) == 4
    assert all(line.startswith(f"cd '{folder}' && segur-router ") for line in lines)
    assert [line.split("segur-router ")[1].split()[0] for line in lines] == ["simulate", "run", "send", "explain"]


WRONG = {
    "profile": (("--profile", "chu"), "no such profile: chu (one of minimal, hopital, ght)"),
    "bus": (("--bus", "rabbit"), "no such bus: rabbit (one of sqlite, kafka)"),
}


@pytest.mark.parametrize(("options", "sentence"), WRONG.values(), ids=WRONG)
def test_a_wrong_option_is_one_sentence(tmp_path: Path, options: tuple[str, ...], sentence: str) -> None:
    """With what could be written instead; nothing is written."""
    said = command("init", str(tmp_path / "site"), *options, "--lang", "en")
    assert (said.code, sentence in said.err, (tmp_path / "site").exists()) == (2, True, False)


def test_a_folder_above_that_is_a_file_is_one_sentence(tmp_path: Path) -> None:
    """What the operating system refuses is said with the place that the operator knows."""
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"Not a directory|File exists") as caught:
        write_site(tmp_path / "file" / "site", PROFILES["minimal"])
    assert caught.value.filename == str(tmp_path / "file")
    with pytest.raises(OSError) as refused:
        write_site(Path("/proc/site"), PROFILES["minimal"])
    assert refused.value.filename == "/proc"


def test_a_feed_without_pipelines_of_its_own_leaves_them_out(tmp_path: Path) -> None:
    """A pipeline none of whose feeds the site has is not copied: `check` would refuse it."""
    minimal = PROFILES["minimal"]
    write_site(tmp_path / "site", replace(minimal, feeds=minimal.feeds[:1]))
    assert sorted(path.name for path in (tmp_path / "site" / "pipelines").glob("*.yaml")) == [
        "biologie.yaml",
        "imagerie.yaml",
        "lettres.yaml",
    ]
