"""Supervisor, workers, lanes, retry, circuit, dead letters: what moves messages without knowing their content."""
