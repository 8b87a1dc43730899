"""What was accepted and what became of every delivery, by id: the authority that makes repeats harmless."""
