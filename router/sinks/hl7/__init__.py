"""The `hl7` sink: MLLP client for relays and for ZAM (hl7-input §4.2, §7.1)."""
