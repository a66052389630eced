"""Speed and memory of training and reporting, measured against a plain PyTorch loop: `python -m benchmarks.NAME`."""

import os

from ablations.hardware.probe import THREAD_SPINS

# Here, as it has to be set before torch is imported; it holds for every loop that is compared.
os.environ.setdefault(*THREAD_SPINS)
