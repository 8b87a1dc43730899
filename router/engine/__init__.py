"""Supervisor, workers, lanes, retry, circuit, dead letters: everything that moves messages and knows none of them."""
