"""The log between stages: two implementations of `contracts.Bus`, held to one contract suite.

`sqlite.SqliteBus` for one machine, `kafka.KafkaBus` for production; `settings.BusConfig` chooses by its `type`.
"""
