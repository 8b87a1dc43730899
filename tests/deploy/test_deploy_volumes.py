"""What the chart mounts is what the router reads: the Job before an upgrade, and pipelines that are replaced."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from router.cli.output import Exit
from router.config.safety import in_container, refusals
from router.config.site import Site
from tests.deploy import kubelet
from tests.deploy.chart import ROOT, VALUES, Manifest, containers, of_kind
from tests.runtime.own_process import Router


def mounted(folder: Path, job: Manifest, changed: dict[str, bytes] | None = None) -> dict[str, Path]:
    """The volumes of a Job of the demo in `folder`: mount path -> folder. `changed`: other files of the pipelines."""
    maps = {one["metadata"]["name"]: one for one in of_kind("demo", "ConfigMap")}
    pod = job["spec"]["template"]["spec"]
    places = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    found = {}
    for volume in pod["volumes"]:
        path = folder / volume["name"]
        found[places[volume["name"]]] = path
        if "emptyDir" in volume:
            path.mkdir(parents=True)
        else:
            files = kubelet.contents(volume, maps)
            kubelet.write(path, files | (changed or {}) if volume["name"] == "pipelines" else files)
    return found


def run(folder: Path, job: Manifest, mounts: dict[str, Path]) -> list[subprocess.CompletedProcess[str]]:
    """Each container of the Job, in its order, as far as one ends well. Paths are those of this machine."""
    site = mounts["/etc/segur-router/site"] / "router.yaml"
    text = site.read_text()
    for place, path in mounts.items():
        text = text.replace(place, str(path)) if place != "/tmp" else text
    kubelet.write(site.parent, {"router.yaml": text.encode()})
    done = []
    for one in containers(job["spec"]["template"]["spec"]):
        given = {entry["name"]: entry["value"] for entry in one["env"]}
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **given, "SEGUR_SITE": str(site)}
        command = [sys.executable, "-m", "router.cli.main", *one["args"]]
        done.append(
            subprocess.run(
                command, capture_output=True, text=True, check=False, env=environment, cwd=folder, timeout=120
            )
        )
        if done[-1].returncode:
            break
    return done


def job() -> Manifest:
    (found,) = of_kind("demo", "Job")
    return found


def test_the_job_before_an_upgrade_passes_on_the_demo(tmp_path: Path) -> None:
    """`check` and `test` find site, pipelines and samples where the chart mounts them."""
    done = run(tmp_path, job(), mounted(tmp_path, job()))
    assert [one.returncode for one in done] == [0, 0], done[-1].stdout + done[-1].stderr
    assert "2 passed, 0 failed" in done[1].stdout


@pytest.mark.parametrize(
    ("changed", "code", "sentence"),
    [
        ({"documents.yaml": b"name: documents\nfeed: sil\n"}, Exit.USAGE, "documents.yaml:1:1: sinks: is required"),
        ({"samples/mss-seul.hl7": b"MSH|^~\\&|\r"}, Exit.BAD, "MSSanté seule"),
        ({"autre.yaml": b"name: [\n"}, Exit.USAGE, "autre.yaml:2:1"),
    ],
    ids=["no sink", "another sample", "no YAML"],
)
def test_the_job_before_an_upgrade_stops_it(
    tmp_path: Path, changed: dict[str, bytes], code: Exit, sentence: str
) -> None:
    """A broken pipeline or an example that comes to something else ends the Job badly, with file, line and sentence."""
    done = run(tmp_path, job(), mounted(tmp_path, job(), changed))
    assert done[-1].returncode == code
    assert sentence in " ".join(done[-1].stdout.split()), done[-1].stdout + done[-1].stderr


@pytest.mark.parametrize("name", VALUES)
def test_the_site_file_that_is_made_is_one_that_runs(name: str, tmp_path: Path) -> None:
    """What the chart writes as router.yaml is read by the router, and nothing of it keeps it from running in a pod."""
    (made,) = [one for one in of_kind(name, "ConfigMap") if one["metadata"]["name"].endswith("-site")]
    path = tmp_path / "router.yaml"
    path.write_text(made["data"]["router.yaml"])
    site = Site(path)
    assert [str(problem) for problem in (*refusals(site), *in_container(site))] == []
    assert site.data == Path("/var/lib/segur-router/data")


def test_a_listener_on_the_loopback_is_refused_in_a_container(tmp_path: Path) -> None:
    """`check --in-container` names each listener that nobody outside would reach; plain `check` takes the same file."""
    path = ROOT / "router.yaml"
    problems = {problem.path: problem for problem in in_container(Site(path))}
    assert set(problems) == {
        "admin.host",
        "http.host",
        *(f"feeds.{n}.mllp.host" for n in ("sil", "ris", "gam", "labo-relais")),
    }
    assert "write `host: 0.0.0.0`" in str(problems["admin.host"])


def _reloads(router: Router, result: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{router.admin}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(f'segur_reload_total{{result="{result}"}}'))


@pytest.mark.slow
def test_pipelines_are_replaced_in_one_piece(tmp_path: Path) -> None:
    """A new set comes as one link that changes: it is taken whole, once, without a restart; a wrong one is refused."""
    router = Router(tmp_path)
    volume = tmp_path / "pipelines"
    first = {str(path.relative_to(volume)): path.read_bytes() for path in volume.rglob("*") if path.is_file()}
    router.site.write_text(router.site.read_text().replace(str(volume), str(tmp_path / "volume")))
    kubelet.write(tmp_path / "volume", first)
    sample = first["samples/adt-admission.hl7"]
    text = first["relais-dpi.yaml"].replace(b"name: relais-dpi\n", b"name: relais-bis\n")
    second = {"bis.yaml": text.replace(b"adt-admission", b"autre"), "samples/autre.hl7": sample}
    with router.running():
        router.until("/readyz", 200)
        time.sleep(1.5)
        kubelet.write(tmp_path / "volume", second)
        _until(lambda: _reloads(router, "applied") == 1)
        time.sleep(2.5)
        assert (_reloads(router, "applied"), _reloads(router, "refused")) == (1, 0)
        kubelet.write(tmp_path / "volume", {"bis.yaml": b"name: x\n"})
        _until(lambda: _reloads(router, "refused") == 1)
        assert router.page("/readyz")[0] == 200


def _until(truth: object, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not truth():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.1)
