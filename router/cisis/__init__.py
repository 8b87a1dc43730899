"""The national profile (volet CI-SIS "Transmission d'un document CDA-R2 en HL7v2") as tables and one function."""
