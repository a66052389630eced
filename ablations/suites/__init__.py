"""Suites: what is to be run, as recipes, run configurations and plans."""
