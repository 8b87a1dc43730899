"""HL7 v2 in ER7: reading and writing on bytes, MLLP framing, acknowledgements, the dictionary."""
