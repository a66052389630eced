"""What a run's epochs tell: convergence, the choice among them, and those that are kept."""
