"""The site that `segur-router init` writes, and the simulators that stand outside of it."""
