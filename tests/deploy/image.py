"""The image, made by scripts/containerfile-steps, and its program run as a container engine would run it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.deploy.chart import ROOT

#: The image over this machine; everything is read-only but /tmp and the state folder.
ENTER = """
root="$1/image/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/image/upper,workdir=$1/image/work" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs tmpfs "$root/mnt"
mkdir "$root/mnt/state" "$root/mnt/site"
mount --bind "$2" "$root/mnt/state"
mount --bind "$3" "$root/mnt/site"
for place in mnt/site mnt .; do mount -o remount,ro,bind "$root/$place"; done
shift 3
exec /usr/sbin/chroot "$root" /usr/bin/setpriv --reuid 10001 --regid 10001 --clear-groups --no-new-privs \
  --inh-caps=-all --bounding-set=-all -- "$@"
"""


def build(folder: Path) -> Path:
    """Run every step of the Containerfile; the folder holds the image then."""
    script = str(ROOT / "scripts" / "containerfile-steps")
    done = subprocess.run([sys.executable, script, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return folder


def start(image: Path, words: list[str], state: Path, site: Path, log: Path, **more: str) -> subprocess.Popen[bytes]:
    """The program as process 1, as account 10001, on a read-only root. `state` is the one writable folder.

    more: variables of its environment
    """
    config = json.loads((image / "config.json").read_text())
    assert config["USER"] == "10001:10001"
    path = config["ENV"]["PATH"].replace("$PATH", "/usr/local/bin:/usr/bin:/bin")
    environment = {**config["ENV"], "PATH": path, "SEGUR_SITE": "/mnt/site/router.yaml", **more}
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", ENTER, "sh", str(image)]
    command += [str(state), str(site), *config["ENTRYPOINT"], *words]
    with log.open("wb") as out:
        return subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.STDOUT)


def process_one(started: subprocess.Popen[bytes]) -> int:
    """The number, as this machine sees it, of the process that is 1 in there."""
    children = Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text().split()
    return int(children[0])
