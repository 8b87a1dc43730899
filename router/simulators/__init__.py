"""The outside world as product code: a sender, an MSSanté operator, a DMP, the sender's return endpoint.

They serve the demo, the pipelines' own examples and our tests. None of them imports what it checks: mail,
archives, XDS metadata, assertions and signatures are read back with code of their own, on standard libraries.
"""
