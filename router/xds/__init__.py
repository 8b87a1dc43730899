"""XDS metadata and ebXML of a CDA document: shared by the IHE_XDM archive and by ITI-41 / ITI-57.

`metadata` turns a request and a document's header into values, `ebxml` turns values into XML. Both are pure.
"""
