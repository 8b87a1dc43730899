"""CDA R2 documents: the header both sinks need, the schema gate, the PDF, the operator's audit.

The bytes of a document are never re-serialised: hash, size and what leaves are those received.
"""
