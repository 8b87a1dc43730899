"""Who has which mailbox (annuaire santé) and which domains are in the espace de confiance (liste blanche)."""
