"""Run an ablation suite and report it: `python run_all.py --help`."""

import signal
import sys

from ablations.cli.main import main

if __name__ == "__main__":
    exit_status = main()
    for ending in (signal.SIGINT, signal.SIGTERM):  # from here on they could only add a traceback
        signal.signal(ending, signal.SIG_IGN)
    sys.exit(exit_status)
