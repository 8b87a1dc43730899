"""A real MSSanté operator on loopback: Postfix (STARTTLS, client certificates, DSN) and Dovecot (IMAP, STARTTLS).

`operator(mailboxes)` starts both with nothing of the system's own configuration and stops them. Where the packages are
missing they are installed when that is possible (root on Debian, environment CI=true); otherwise the test is
skipped on a developer's machine and fails in CI.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PACKAGES = ("postfix", "dovecot-imapd", "dovecot-lmtpd")
PASSWORD = "secret-d-essai"


@dataclass(frozen=True)
class Operator:
    """Where it listens, and the files of a client it knows. `intruder`: a certificate of an unknown authority."""

    smtp: int
    imap: int
    ca: Path
    certificate: Path
    key: Path
    intruder: Path
    intruder_key: Path
    mailboxes: tuple[str, ...]


def programs() -> None:
    """Make sure that both are installed, or skip, or fail."""
    if os.geteuid() == 0 and shutil.which("postfix") and shutil.which("dovecot"):
        return
    if not os.environ.get("CI"):
        pytest.skip(f"needs root and the Debian packages {' '.join(PACKAGES)}")
    if os.geteuid() or not shutil.which("apt-get"):
        pytest.fail(f"install {' '.join(PACKAGES)} and run as root")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "install", "-y", "-q", *PACKAGES], check=True, env=environment, capture_output=True)


# ------------------------------------------------------------------------------------------------ certificates


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


class Authority:
    """A throw-away authority."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = _name(name)
        usage = x509.KeyUsage(
            digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
            key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        certificate = self._builder(self._subject, self._key.public_key(), days=2)
        certificate = certificate.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        signed = certificate.add_extension(usage, critical=True).sign(self._key, hashes.SHA256())
        self.path = folder / f"{name}.pem"
        self.path.write_bytes(signed.public_bytes(serialization.Encoding.PEM))

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *, days: float) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=3))
            .not_valid_after(now + dt.timedelta(days=days))
        )

    def issue(self, name: str, *, server: bool = False, days: float = 2) -> tuple[Path, Path]:
        """(certificate, key) files; a negative `days` gives an expired one."""
        key = ec.generate_private_key(ec.SECP256R1())
        usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = self._builder(_name(name), key.public_key(), days=days)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if server:
            names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate, secret = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        certificate.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        secret.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return certificate, secret


# ----------------------------------------------------------------------------------------------------- servers


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def operator(mailboxes: Sequence[str]) -> Iterator[Operator]:
    """Both servers, with these mailboxes (addresses); other recipients of their domains are refused."""
    programs()
    with tempfile.TemporaryDirectory(prefix="operateur-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # both servers leave root behind
        yield from _serve(folder, mailboxes)


def _serve(folder: Path, mailboxes: Sequence[str]) -> Iterator[Operator]:
    authority = Authority(folder, "autorite")
    server, server_key = authority.issue("serveur", server=True)
    certificate, key = authority.issue("pfi")
    intruder, intruder_key = Authority(folder, "ailleurs").issue("intrus")
    smtp, imap = free_port(), free_port()
    mail = folder / "mail"
    mail.mkdir()
    os.chown(mail, pwd.getpwnam("dovecot").pw_uid, pwd.getpwnam("dovecot").pw_gid)
    config = _dovecot(folder, imap, authority.path, server, server_key)
    started = _postfix(folder, smtp, mailboxes, authority.path, server, server_key)
    processes = [
        subprocess.Popen(["dovecot", "-F", "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL),
        subprocess.Popen(
            ["postfix", "-c", str(started), "start-fg"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ),
    ]
    try:
        _wait(smtp, folder)
        _wait(imap, folder)
        yield Operator(smtp, imap, authority.path, certificate, key, intruder, intruder_key, tuple(mailboxes))
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait(port: int, folder: Path) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as talk:
                if talk.recv(10):
                    return
        except OSError:
            time.sleep(0.1)
    logs = "\n".join(path.read_text(errors="replace")[-2000:] for path in folder.glob("*.log"))
    pytest.fail(f"the mail servers did not start:\n{logs}")


def _dovecot(folder: Path, port: int, ca: Path, certificate: Path, key: Path) -> Path:
    user = pwd.getpwnam("dovecot")
    path = folder / "dovecot.conf"
    path.write_text(f"""
base_dir = {folder}/dovecot
state_dir = {folder}/dovecot-state
log_path = {folder}/dovecot.log
protocols = imap lmtp
listen = 127.0.0.1
first_valid_uid = 1
ssl = required
ssl_cert = <{certificate}
ssl_key = <{key}
ssl_ca = <{ca}
mail_location = maildir:{folder}/mail/%u
passdb {{
  driver = static
  args = password={PASSWORD}
}}
userdb {{
  driver = static
  args = uid={user.pw_uid} gid={user.pw_gid} home={folder}/mail/%u
}}
service imap-login {{
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service lmtp {{
  unix_listener {folder}/lmtp {{
    mode = 0666
  }}
}}
protocol lmtp {{
  postmaster_address = postmaster@localhost
}}
""")
    return path


def _postfix(folder: Path, port: int, mailboxes: Sequence[str], ca: Path, certificate: Path, key: Path) -> Path:
    config = folder / "postfix"
    config.mkdir()
    owner = pwd.getpwnam("postfix")
    for name in ("queue", "data"):
        (folder / name).mkdir()
    os.chown(folder / "data", owner.pw_uid, owner.pw_gid)
    domains = sorted({address.partition("@")[2] for address in mailboxes})
    users = "".join(f"{{ {address} = ok }}, " for address in mailboxes).rstrip(", ")
    (config / "main.cf").write_text(f"""
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = relais.mssante.fr
mydestination =
mynetworks =
alias_maps =
local_recipient_maps =
virtual_mailbox_domains = {", ".join(domains)}
virtual_mailbox_maps = inline:{{ {users} }}
virtual_transport = lmtp:unix:{folder}/lmtp
smtpd_tls_security_level = encrypt
smtpd_tls_cert_file = {certificate}
smtpd_tls_key_file = {key}
smtpd_tls_CAfile = {ca}
smtpd_tls_ask_ccert = yes
smtpd_tls_req_ccert = yes
smtpd_relay_restrictions =
smtpd_recipient_restrictions = permit_tls_all_clientcerts, reject
smtpd_client_connection_rate_limit = 0
message_size_limit = 20000000
maximal_queue_lifetime = 1d
maillog_file = {folder}/postfix.log
maillog_file_prefixes = /
""")
    packaged = Path("/usr/share/postfix/master.cf.dist").read_text().splitlines()
    (config / "master.cf").write_text("\n".join(_service(line, port) for line in packaged) + "\n")
    return config


def _service(line: str, port: int) -> str:
    """A line of the packaged master.cf: our port for the listener, no chroot."""
    words = line.split()
    if not line[:1].isalnum():
        return line
    if words[:2] == ["smtp", "inet"]:
        words[0] = f"127.0.0.1:{port}"
    words[4] = "n"
    return " ".join(words)
