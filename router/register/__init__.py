"""What the ADT feeds say of patients: INS status, opposition to the DMP, merges, moves (decisions D8).

`adt.read` turns a PAM-FR message into an `AdtChange`; `Register.apply` stores it, with pseudonyms for every
identity; `Register.find` answers steps and sinks; `Register.impact` lists what has left under a changed identity.
"""

from router.register.adt import AdtChange, read
from router.register.patient import Alert, Applied, RegisteredPatient, WorkEntry
from router.register.stays import Stay
from router.register.store import Register

__all__ = ["AdtChange", "Alert", "Applied", "Register", "RegisteredPatient", "Stay", "WorkEntry", "read"]
