"""The DMP: TD2.1 (ITI-41), TD3.1b (ITI-18), TD3.3c (ITI-57) and TD0.2, over SOAP 1.2 with VIHF and signed lots."""
