"""Write a suite's report in this process, and print its seconds and peak memory: `python -m benchmarks.timed_report`.

It imports what the report needs while the clock runs, and nothing more, so that the figures are the report's own.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from ablations.hardware.probe import peak_resident_bytes
from ablations.report.write import write_report


def main(suite_dir: Path) -> None:
    """Print ``{"seconds": ..., "peak_bytes": ...}``."""
    began = time.perf_counter()

    write_report(suite_dir)
    print(json.dumps({"seconds": time.perf_counter() - began, "peak_bytes": peak_resident_bytes()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
