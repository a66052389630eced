"""GoogLeNet (Szegedy et al. 2014, arXiv:1409.4842) and its ablations: architectures as data, and their networks.

`Architecture`, `VARIANTS`, `REFERENCES` and `AXES` need no torch; `build`, `initialise`, `GoogLeNet` and `Output`
import it on first use.
"""

from typing import TYPE_CHECKING, Any

from googlenet.architecture import Architecture, Auxiliary, InceptionRow
from googlenet.axes import AXES
from googlenet.references import REFERENCES
from googlenet.variants import VARIANTS

if TYPE_CHECKING:
    from googlenet.model import GoogLeNet, Output, build, initialise

__all__ = [
    "AXES",
    "REFERENCES",
    "VARIANTS",
    "Architecture",
    "Auxiliary",
    "GoogLeNet",
    "InceptionRow",
    "Output",
    "build",
    "initialise",
]


def __getattr__(name: str) -> Any:
    if name not in ("GoogLeNet", "Output", "build", "initialise"):
        raise AttributeError(f"module 'googlenet' has no attribute {name!r}")
    from googlenet import model

    return getattr(model, name)
