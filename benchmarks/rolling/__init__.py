"""Replaces one pod after the other under load and measures what senders and receivers notice."""
