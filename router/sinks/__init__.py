"""Sinks: each type delivers to one outside system and lets no foreign exception out."""
