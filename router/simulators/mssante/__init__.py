"""An MSSanté operator: SMTP with delivery reports, mailboxes, read receipts, IMAP; and an inspection of each mail."""

from router.simulators.mssante.config import Envelope, Mail, MssanteConfig
from router.simulators.mssante.inspect import Finding, Inspection, inspect
from router.simulators.mssante.simulator import MssanteSimulator

__all__ = ["Envelope", "Finding", "Inspection", "Mail", "MssanteConfig", "MssanteSimulator", "inspect"]
