"""The register is rebuilt from the ADT topics (decisions D8)."""

from __future__ import annotations

from pathlib import Path

from router.config.site import Site
from router.contracts import in_topic
from router.exchange import Event, Exchange, Origin
from router.hl7.message import Message
from router.register.patient import ipp_pseudonym
from router.request import Identifier
from router.runtime.pipelines import RegisterPipeline
from router.runtime.rebuild import rebuild
from router.runtime.site_services import SiteServices
from router.simulators.sender.maker import Maker
from router.wire import event_record, read_event

SITE = """\
environment: qualification
data: var
admin: {port: 0}
feeds:
  gam: {kind: adt, mllp: {port: 0}}
sinks:
  hl7.dpi: {type: hl7, host: 127.0.0.1, port: 1}
"""


def test_d8_the_register_is_rebuilt_from_its_topic(tmp_path: Path) -> None:
    """Whatever the pipeline had made of the events on `in.<feed>`, clearing and reading them again makes the same."""
    (tmp_path / "router.yaml").write_text(SITE)
    services = SiteServices(Site(tmp_path / "router.yaml"))
    maker = Maker(9)
    patients = [maker.patient() for _ in range(4)]
    messages = [maker.adt("A28", patient) for patient in patients]
    producer = services.bus.producer("test")
    for number, message in enumerate(messages):
        event = Event(f"{number:032d}", "gam", f"k{number}", message, {}, Origin("x", 0, 0))
        producer.publish([event_record(event)])
    pipeline = RegisterPipeline(services, "gam")
    for record in services.bus.scan(in_topic("gam")):
        event = read_event(record)
        pipeline.process(Exchange(event=event, message=Message.parse(event.body)))
    names = [
        ipp_pseudonym(
            services.pseudonyms, Identifier(value=one.text(1), authority=one.text(4, 2), namespace=one.text(4, 1))
        )
        for message in messages
        for one in Message.parse(message).segments("PID")[0].repetitions(3)
        if one.text(5) == "PI"
    ]
    before = {name: (one.ins, one.qualified, one.status) for name, one in services.register.find_all(names).items()}
    assert len(before) == len(patients)
    done = rebuild(services)
    assert (done.feeds, done.events, done.unreadable) == (("gam",), 4, 0)
    after = {name: (one.ins, one.qualified, one.status) for name, one in services.register.find_all(names).items()}
    assert after == before
    services.close()
