"""Files on disk: atomic writes, JSON Lines, and dataclasses as JSON."""
