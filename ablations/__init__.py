"""The experiment around the network: suites, data, training, records and reports.

>>> from ablations import Suite, find_suite, load_results, run_suite, write_report

Each name is imported on first use, so that reports and plans never load torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .analysis.results import Results, load_results
    from .experiment import DataSource, run_suite
    from .report.write import Report, write_report
    from .suites.suite import Suite
    from .suites.suite_file import find_suite
    from .training.model import load_trained
    from .training.options import ExecutionOptions

_MODULES = {
    "DataSource": "experiment",
    "ExecutionOptions": "training.options",
    "Report": "report.write",
    "Results": "analysis.results",
    "Suite": "suites.suite",
    "find_suite": "suites.suite_file",
    "load_results": "analysis.results",
    "load_trained": "training.model",
    "run_suite": "experiment",
    "write_report": "report.write",
}
__all__ = [
    "DataSource",
    "ExecutionOptions",
    "Report",
    "Results",
    "Suite",
    "find_suite",
    "load_results",
    "load_trained",
    "run_suite",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'ablations' has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)
