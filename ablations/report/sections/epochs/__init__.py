"""Sections about a run's epochs."""
