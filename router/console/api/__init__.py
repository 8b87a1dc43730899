"""The API of the console: what its pages do, for programs. Each operation is declared once (`operation.Operation`)."""
