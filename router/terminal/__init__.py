"""Tables of the commands on a terminal."""
