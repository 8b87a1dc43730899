"""The queryable story of every event, delivery and receipt; fed by the bus, and rebuilt from it."""
