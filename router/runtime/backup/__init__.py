"""Backup of all that a site keeps, and its way back."""
