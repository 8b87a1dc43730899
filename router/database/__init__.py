"""SQL databases, SQLite or PostgreSQL, as the ledger, the journal and the register keep their tables in them."""

from router.database.database import Clash, Database, Many, TooSlow
from router.database.timing import Took, unheard

__all__ = ["Clash", "Database", "Many", "TooSlow", "Took", "unheard"]
