"""The machine: its device and memory, and the software environment of a run."""
