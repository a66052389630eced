"""GoogLeNet and its ablations as a model factory.

The data (`VARIANTS`, `REFERENCES`, `AXES`, `Architecture`) is importable without torch; `build`, `initialise`,
`GoogLeNet` and `Output` import it on first use.
"""

from typing import TYPE_CHECKING, Any

from .architecture import Architecture, Auxiliary, InceptionRow
from .axes import AXES
from .references import REFERENCES
from .variants import VARIANTS

if TYPE_CHECKING:
    from .model import GoogLeNet, Output, build, initialise

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
    from . import model

    return getattr(model, name)
