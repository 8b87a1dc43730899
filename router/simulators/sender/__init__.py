"""A sender: makes fictitious messages and documents from a seed, and hands them over by MLLP."""

from router.simulators.sender.hl7 import Recipient
from router.simulators.sender.maker import BASE, Maker
from router.simulators.sender.mllp import MllpSender, Sent
from router.simulators.sender.options import CdaSample
from router.simulators.sender.people import (
    DOCTOR_DOMAIN,
    HOPITAL_A,
    HOPITAL_B,
    HOSPITAL_DOMAIN,
    PATIENT_DOMAIN,
    Patient,
    Professional,
    Structure,
    ins_key,
)

__all__ = [
    "BASE",
    "DOCTOR_DOMAIN",
    "HOPITAL_A",
    "HOPITAL_B",
    "HOSPITAL_DOMAIN",
    "PATIENT_DOMAIN",
    "CdaSample",
    "Maker",
    "MllpSender",
    "Patient",
    "Professional",
    "Recipient",
    "Sent",
    "Structure",
    "ins_key",
]
