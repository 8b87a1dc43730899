"""segur-router: routes hospital documents to the DMP and to MSSanté."""
