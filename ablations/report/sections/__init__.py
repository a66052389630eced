"""The sections of a report, one file each: a builder (Analysis) -> Section | None."""
