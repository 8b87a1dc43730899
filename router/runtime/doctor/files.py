"""Files: the site's own, the data folder, keys and secrets, watched folders."""

from __future__ import annotations

import os
import pwd
import re
import ssl
import stat
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from router import private
from router.config.pipeline import read_folder
from router.config.safety import refusals, shared_refusals
from router.errors import OperatorFault
from router.language import filled, filled_plural
from router.runtime.certificates import certificates_of
from router.runtime.doctor.check import Installation, Verdict, good, remark, wrong
from router.runtime.status.own_files import disk as disk_of
from router.runtime.supervisor.workers import last_state
from router.secret import Secret
from router.sinks.certificates import expires
from router.tls import show_certificate

DISK_BYTES: Final = 5 * 2**30
DISK_SHARE: Final = 0.10
INODES_SHARE: Final = 0.05
SOON: Final = 30 * 86_400.0
_ENTRIES: Final = 5000
_PRIVATE: Final = b"PRIVATE KEY-----"
_FILES: Final = frozenset({"ca", "certificate", "client_ca", "crl", "key", "server_ca", "password_file"})


def site(installation: Installation) -> Iterator[Verdict]:
    """All that `check` refuses, and all for which `run` would not start."""
    read = installation.site
    _, problems = read_folder(read.pipelines, sinks=read.config.sink_types, feeds=set(read.config.feeds))
    found = [*refusals(read), *problems]
    for one in found:
        yield wrong(f"{one.file}:{one.line} {one.path}".strip(), one.text, one.hint)
    if not found:
        yield good("site")
    if read.config.bus.type == "kafka":
        for one in shared_refusals(read):
            yield remark(f"{one.file} {one.path}", one.text, one.hint)


def disk(installation: Installation) -> Iterator[Verdict]:
    """Room for a day of documents, and for as many files."""
    folder = installation.site.data
    found = disk_of(folder)
    told = filled("{megabytes} MB of {size} are free", megabytes=found.free // 2**20, size=found.size // 2**20)
    low = found.free < DISK_BYTES or found.free < DISK_SHARE * found.size
    yield wrong(str(folder), told, f"du -xh --max-depth=2 {folder}") if low else good(str(folder), told)
    if found.inodes and found.inodes_free < INODES_SHARE * found.inodes:
        text = filled_plural(
            "only {count} inode is free: no file can be made once it is used",
            "only {count} inodes are free: no file can be made once they are used",
            found.inodes_free,
        )
        yield wrong(str(folder), text, f"df -i {folder}")


# ------------------------------------------------------------------------------------------------- rights


def rights(installation: Installation) -> Iterator[Verdict]:
    """Ours alone, all of one owner; the files that decide where documents go are written by no stranger."""
    data = installation.site.data
    if data.is_dir():
        yield from _data(data)
    else:
        yield remark(str(data), "is not there yet: the first start makes it")
    for path in (installation.site.path, installation.site.pipelines):
        yield from _decides(path)
    yield from _mask(installation)


def _data(data: Path) -> Iterator[Verdict]:
    found = data.stat()
    owner = _account(found.st_uid)
    problems = []
    if private.open_to_others(data):
        text = filled(
            "other accounts of this machine can reach it (mode {mode})", mode=f"{stat.S_IMODE(found.st_mode):o}"
        )
        problems.append(wrong(str(data), text, f"chmod 700 {data}"))
    if not os.access(data, os.R_OK | os.W_OK | os.X_OK):
        text = filled("this account can't use it: it belongs to {name}", name=owner)
        problems.append(wrong(str(data), text, f"sudo -u {owner} segur-router doctor"))
    elif found.st_uid != os.geteuid():
        text = filled("belongs to {name}: what another account makes there, the router can't use", name=owner)
        problems.append(remark(str(data), text, f"sudo -u {owner} segur-router …"))
    others = sum(1 for path in islice(data.rglob("*"), _ENTRIES) if _uid(path) not in (None, found.st_uid))
    if others:
        text = filled_plural(
            "{count} entry does not belong to {name}", "{count} entries do not belong to {name}", others, name=owner
        )
        problems.append(wrong(str(data), text, f"chown -R {owner}: {data}"))
    yield from problems
    if not problems:
        yield good(str(data))


def _decides(path: Path) -> Iterator[Verdict]:
    """A file or folder that says where documents go."""
    if not path.exists():
        return  # `site` tells it
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & stat.S_IWOTH:
        text = "any account of this machine may change where documents go"
        yield wrong(str(path), text, f"chmod o-w {path}")
    elif mode & stat.S_IWGRP:
        yield remark(str(path), "its group may change where documents go", f"chmod g-w {path}")


def _mask(installation: Installation) -> Iterator[Verdict]:
    """The umask of the router that runs: it sets it itself."""
    said = last_state(installation.site.data / "run" / "state.json") if installation.running else None
    if said is None:
        return
    found = re.search(r"^Umask:\s+(\d+)", _text(Path(f"/proc/{said.pid}/status")), re.MULTILINE)
    if found and int(found[1], 8) != private.UMASK:
        yield wrong("umask", filled("the router runs with {mode}", mode=found[1]), "UMask=0077")


def _account(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _uid(path: Path) -> int | None:
    try:
        return path.lstat().st_uid
    except OSError:
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


# --------------------------------------------------------------------------------------------------- keys


def keys(installation: Installation) -> Iterator[Verdict]:
    """Each file and secret that the site file names; certificates also by their dates and their keys."""
    config = installation.site.config
    read = 0
    for name, part in _parts(config, ""):
        read += 1
        if isinstance(part, Secret):
            yield from _secret(name, part)
        else:
            yield from _file(name, part)
    yield from _dates(installation)
    for name, pair in _pairs(config, ""):
        yield from _pair(name, pair)
    own = installation.site.data / "pseudonyms.key"
    if private.open_to_others(own):
        yield wrong(str(own), "other accounts can read it", f"chmod 600 {own}")
    yield good("keys", filled_plural("{count} file or secret", "{count} files and secrets", read))


def _parts(model: object, name: str) -> Iterator[tuple[str, Secret | Path]]:
    """Secrets and files of keys or certificates, however deep they stand, with their place in the site file."""
    if isinstance(model, Secret):
        yield name, model
    elif isinstance(model, BaseModel):
        for field in type(model).model_fields:
            value = getattr(model, field)
            place = f"{name}.{field}" if name else field
            if isinstance(value, Path) and field in _FILES:
                yield place, value
            else:
                yield from _parts(value, place)
    elif isinstance(model, dict):
        for key, value in model.items():
            yield from _parts(value, f"{name}.{key}")


def _secret(name: str, secret: Secret) -> Iterator[Verdict]:
    try:
        empty = not secret.read()
    except OperatorFault as fault:
        fix = f"export {secret.env}=…" if secret.env else f"install -m 600 /dev/stdin {secret.file}"
        yield wrong(f"{name} ({fault.place})", fault.text, fix)
        return
    if empty:
        yield wrong(f"{name} ({secret.file or secret.env})", "is empty")
    if secret.file is not None and private.open_to_others(secret.file):
        yield wrong(f"{name} ({secret.file})", "other accounts can read it", f"chmod 600 {secret.file}")


def _file(name: str, path: Path) -> Iterator[Verdict]:
    place = f"{name} ({path})"
    try:
        content = path.read_bytes()
    except OSError as error:
        yield wrong(place, filled("can't be read: {reason}", reason=error.strerror), f"ls -l {path}")
        return
    if _PRIVATE in content and private.open_to_others(path):
        yield wrong(place, "other accounts can read this private key", f"chmod 600 {path}")


def _dates(installation: Installation) -> Iterator[Verdict]:
    now = installation.clock.now()
    for name, path in certificates_of(installation.site.config).items():
        ends = expires(path)
        if ends is None and path.exists():
            yield wrong(f"{name} ({path})", "holds no certificate that can be read", f"openssl x509 -in {path} -noout")
        elif ends is not None and ends < now:
            yield wrong(f"{name} ({path})", "this certificate has ended", f"openssl x509 -in {path} -noout -dates")
        elif ends is not None and ends - now < SOON:
            days = int((ends - now) // 86_400)
            text = filled_plural(
                "this certificate ends in {count} day: renew it",
                "this certificate ends in {count} days: renew it",
                days,
            )
            yield wrong(f"{name} ({path})", text)


def _pairs(model: object, name: str) -> Iterator[tuple[str, BaseModel]]:
    """Parts of the site file with a certificate and its key."""
    if isinstance(model, BaseModel):
        if isinstance(getattr(model, "certificate", None), Path) and "key" in type(model).model_fields:
            yield name, model
        for field in type(model).model_fields:
            yield from _pairs(getattr(model, field), f"{name}.{field}" if name else field)
    elif isinstance(model, dict):
        for key, value in model.items():
            yield from _pairs(value, f"{name}.{key}")


def _pair(name: str, part: BaseModel) -> Iterator[Verdict]:
    """Whether the key opens, and is the certificate's."""
    certificate: Path = part.certificate  # type: ignore[attr-defined]
    key: Path | None = part.key  # type: ignore[attr-defined]
    if not certificate.exists() or (key is not None and not key.exists()):
        return  # told by `_file`
    password: Secret | None = getattr(part, "key_password", None)
    try:
        secret = password.read() if password is not None else None
        show_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), certificate, key, secret)
    except OperatorFault:
        return  # told by `_secret`
    except (OSError, ValueError):
        text = "certificate and key do not belong together, or the key's password is wrong"
        yield wrong(name, text, f"openssl pkey -in {key or certificate} -pubout")


# ------------------------------------------------------------------------------------------------ folders


def folders(installation: Installation) -> Iterator[Verdict]:
    """Watched folders: there, and ours to take files from."""
    for name, feed in installation.site.config.feeds.items():
        if feed.folder is None:
            continue
        path = feed.folder.path
        if not path.is_dir():
            yield wrong(f"feed {name} ({path})", "is no folder", f"install -d -m 770 {path}")
        elif not os.access(path, os.R_OK | os.W_OK | os.X_OK):
            yield wrong(f"feed {name} ({path})", "this account may not take files from it", f"ls -ld {path}")
        else:
            yield good(f"feed {name} ({path})")
