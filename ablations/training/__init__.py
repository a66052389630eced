"""One run of the experiment: batches, optimisation steps, evaluation and checkpoints (torch)."""
