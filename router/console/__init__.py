"""The console: pages for the people of a hospital who look, find, and act."""
