"""The audit: who saw or did what, in a table whose rows are chained, so that a change shows."""
