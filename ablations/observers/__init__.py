"""Observers of a running suite: progress on the terminal, curves for TensorBoard."""
