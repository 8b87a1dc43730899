"""The embedded bus: SQLite files shared by the processes of one machine."""
