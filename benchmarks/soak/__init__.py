"""The soak: faults at random instants under a steady load, and a checker that asks the router nothing."""
