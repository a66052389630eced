"""Speed of the product's training loop against a plain one, measured in one process: `python -m benchmarks.NAME`."""

import os

from ablations.hardware.probe import THREAD_SPINS

# Here, as it has to be set before torch is imported; it holds for all that is compared.
os.environ.setdefault(*THREAD_SPINS)
