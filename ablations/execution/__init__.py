"""Executors: carry out planned runs, one after the other or side by side."""
