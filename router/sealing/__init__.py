"""What stands on a disk is sealed: AES-256-GCM under data keys, which a master key wraps (docs/operations.md)."""
