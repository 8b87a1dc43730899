"""What every SMTP failure means for the runner (mssante §7)."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import pytest
from aiosmtplib import errors

from router.errors import OperatorFault, OutcomeUnknown, Refused, RouterError, Unavailable
from router.sinks.mssante.codes import error_code
from router.sinks.mssante.verdict import Phase, of_reply, smtp_phase

SECRET = "dr.marqueur@patient.mssante.fr"


def every_error() -> Iterator[Exception]:
    """One of each class of aiosmtplib, and what ssl and the socket raise."""
    for kind in vars(errors).values():
        if not (isinstance(kind, type) and issubclass(kind, errors.SMTPException)):
            continue
        if issubclass(kind, errors.SMTPRecipientsRefused):
            yield kind([errors.SMTPRecipientRefused(550, f"5.1.1 {SECRET}", SECRET)])
        elif issubclass(kind, (errors.SMTPSenderRefused, errors.SMTPRecipientRefused)):
            yield kind(550, f"no {SECRET}", SECRET)
        elif issubclass(kind, errors.SMTPResponseException):
            yield kind(451, f"later {SECRET}")
        else:
            yield kind(f"text {SECRET}")
    yield ssl.SSLCertVerificationError("expired")
    yield ssl.SSLError("record layer failure")
    yield ConnectionResetError("reset")
    yield TimeoutError("silent")
    yield ValueError("control character")
    yield RuntimeError("transport")


@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize("foreign", list(every_error()), ids=lambda error: type(error).__name__)
def test_no_foreign_error_leaves_and_no_text_of_the_server_with_it(foreign: Exception, phase: Phase) -> None:
    """A class added to aiosmtplib, or a server that quotes an address, fails here and not in production."""
    with pytest.raises(RouterError) as caught, smtp_phase(phase):
        raise foreign
    assert caught.value.__cause__ is foreign
    assert SECRET not in str(caught.value)


def test_our_own_faults_pass_unchanged() -> None:
    """A verdict is given once."""
    fault = Refused("MSS-523", "MAIL")
    with pytest.raises(Refused) as caught, smtp_phase(Phase.MAIL):
        raise fault
    assert caught.value is fault


@pytest.mark.parametrize(
    ("code", "text", "phase", "kind", "told"),
    [
        (550, "5.1.1 no such user", Phase.RCPT, Refused, "MSS-550"),
        (550, "5.1.2 no such host", Phase.RCPT, Refused, "MSS-512"),
        (554, "5.7.1 spam", Phase.BODY, Refused, "MSS-541"),
        (554, "5.7.1 not allowed", Phase.BODY, Refused, "MSS-554"),
        (552, "5.3.4 too big", Phase.BODY, Refused, "MSS-523"),
        (552, "quota", Phase.BODY, Refused, "MSS-552"),
        (552, "5.3.4 too big", Phase.MAIL, Refused, "MSS-523"),
        (571, "no", Phase.RCPT, Refused, "MSS-554"),
        (452, "4.2.2 full", Phase.RCPT, Unavailable, "MSS-422"),
        (450, "busy", Phase.RCPT, Unavailable, "MSS-450"),
        (452, "full disk", Phase.BODY, Unavailable, "MSS-452"),
        (421, "closing", Phase.RCPT, Unavailable, "MSS-421"),
        (451, "later", Phase.MAIL, Unavailable, "MSS-451"),
        (535, "5.7.8 bad credentials", Phase.LOGIN, OperatorFault, "MSS-530"),
        (530, "authenticate first", Phase.MAIL, OperatorFault, "MSS-530"),
        (421, "4.7.1 Error: Client certificate not trusted", Phase.CONNECT, OperatorFault, "MSS-TLS"),
        (553, "sender not yours", Phase.MAIL, OperatorFault, "MSS-553"),
    ],
)
def test_a_reply_has_one_meaning(code: int, text: str, phase: Phase, kind: type[RouterError], told: str) -> None:
    """The table of mssante §7, with the SMTPERRORCODE that a Z02 will give."""
    fault = of_reply(code, text, phase)
    assert (type(fault), fault.code) == (kind, told)


def test_only_what_concerns_everybody_opens_the_circuit() -> None:
    """A full mailbox makes its own lane wait; a server that closes makes the sink wait."""
    circuits = {
        (code, phase): of_reply(code, "", phase).circuit  # type: ignore[attr-defined]
        for code, phase in ((450, Phase.RCPT), (452, Phase.BODY), (421, Phase.RCPT), (451, Phase.MAIL))
    }
    assert list(circuits.values()) == [False, False, True, True]


def test_a_cut_after_the_body_is_unknown_and_before_it_is_not() -> None:
    """Only behind the final dot may the mail have been taken."""
    lost = errors.SMTPServerDisconnected("lost")
    found = {}
    for phase in (Phase.DATA, Phase.BODY):
        with pytest.raises(RouterError) as caught, smtp_phase(phase):
            raise lost
        found[phase] = type(caught.value)
    assert found == {Phase.DATA: Unavailable, Phase.BODY: OutcomeUnknown}


def test_a_status_that_no_table_knows_goes_to_its_family() -> None:
    """4xx gives 451, 5xx gives 554 (mssante §8.3)."""
    assert error_code(reply=471) == error_code(enhanced="4.9.9") == "451"
    assert error_code(reply=571) == error_code(enhanced="5.9.9") == "554"
