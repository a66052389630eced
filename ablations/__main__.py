"""Run an ablation suite and report it: `python -m ablations --help`, the same as `python run_all.py --help`."""

import signal
import sys

from ablations.cli.main import main


def run() -> None:
    """Run the command and end this process with its exit status."""
    exit_status = main()
    for ending in (signal.SIGINT, signal.SIGTERM):  # from here on they could only add a traceback
        signal.signal(ending, signal.SIG_IGN)
    sys.exit(exit_status)


if __name__ == "__main__":
    run()
