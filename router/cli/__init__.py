"""The command line: thin commands that parse, call a room, and show."""
