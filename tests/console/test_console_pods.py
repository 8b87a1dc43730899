"""A console in a pod of its own: it asks the other pods what they see, and says which of them does not answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from router.config.console_models import ConsoleConfig
from router.runtime.status.gather import Gatherer
from router.runtime.status.own_files import certificates_seen
from router.runtime.status.views import CertificateView, ProcessReport
from tests.console.console_world import World, text_of

OF_THE_SINKS = {
    "machine": "router-sinks-0",
    "version": "1",
    "started": 1.0,
    "workers": [
        {"name": "sinks-0", "role": "sinks", "status": "running", "since": 1.0, "restarts": 0, "last_exit": None}
    ],
    "readings": [{"measure": "circuit_open", "labels": {"sink": "mssante.a"}, "value": 1.0}],
    "directory": {
        "used": True,
        "liste_blanche_age": 7200.0,
        "domains": 812,
        "annuaire_used": False,
        "annuaire_age": None,
        "mailboxes": 0,
    },
    "disk": {"free": 1, "size": 100, "inodes_free": 1, "inodes": 1},
}


@contextmanager
def pod(said: dict[str, object], port: int = 0) -> Iterator[int]:
    """The administration port of another pod: its number."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(said if self.path == "/status" else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_state_page_has_what_another_pod_sees_and_then_says_since_when_it_is_silent(world: World) -> None:
    """Its workers, circuit, lists and disk; once it is gone: its name, its last answer, and that a person must look."""
    with pod(OF_THE_SINKS) as port:
        places = ConsoleConfig(port=0, others=[f"127.0.0.1:{port}"]).other_places
        gatherer = Gatherer(world.services.site, places)
        world.watch._open = lambda: gatherer
        page = text_of(world.client("jeanne").get("/"))
        assert "sinks-0 ● running" in page and "812 entries, 2 h 00 old" in page
        assert "✕ open" in page and "Disk of router-sinks-0 ▲ to look at" in page
        directory = text_of(world.client("jeanne").get("/directory"))
        assert "not here yet" in directory and "Liste blanche of router-sinks-0" in directory
    with closing(gatherer):
        found = gatherer.gather()
        (silent,) = [one for one in found.unseen if one.process]
        assert silent.what == f"router-sinks-0 (127.0.0.1:{port})" and silent.since is not None
        assert [one.subject for one in found.attention if "has not answered since" in one.text] == [silent.what]
        assert found.sinks[0].circuit == "unknown"  # nothing is claimed of a pod that is silent
        world.watch._status = found
        page = text_of(world.client("jeanne", language="fr").get("/"))
        assert "ne répond pas" in page and "Dernière réponse" in page
        with pod(OF_THE_SINKS, port):
            assert not [one for one in gatherer.gather().unseen if one.process]


def test_a_certificate_is_told_by_the_pod_that_has_its_file() -> None:
    """A console without the key of the DMP shows the date of the sinks; none is claimed while a pod is silent."""
    own = (CertificateView("dmp/tls", None), CertificateView("console/tls", 50.0))
    sinks = ProcessReport("sinks", "1", 0.0, (), certificates=(CertificateView("dmp/tls", 90.0),))
    dates = {one.name: one.ends for one in certificates_seen(own, [sinks], all_answered=True)}
    assert dates == {"dmp/tls": 90.0, "console/tls": 50.0}
    assert [one.name for one in certificates_seen(own, [], all_answered=False)] == ["console/tls"]
    assert certificates_seen(own, [], all_answered=True)[0].ends is None
