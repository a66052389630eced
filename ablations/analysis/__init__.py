"""Statistics of a suite: what its run records say in numbers."""
