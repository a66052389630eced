"""Run an ablation suite and report it: `python run_all.py --help`."""

from ablations.__main__ import run

if __name__ == "__main__":
    run()
