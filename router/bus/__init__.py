"""The log between stages: two implementations of `contracts.Bus`, held to one contract suite.

`sqlite` for one machine, `kafka` for several. `settings.BusConfig` chooses by its `type`, `opening.open_bus` opens it.
"""
