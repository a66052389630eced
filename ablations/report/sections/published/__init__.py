"""Sections beside what was published."""
