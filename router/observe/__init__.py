"""Metrics, logs and health: what the outside sees of the router, and never a patient in it."""
