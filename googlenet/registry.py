"""TODO"""

from __future__ import annotations

from googlenet.architecture import Architecture
from googlenet.axes import AXES
from googlenet.references import REFERENCES
from googlenet.validation import check_choice
from googlenet.variants import VARIANTS

ARCHITECTURES: dict[str, Architecture] = {
    **VARIANTS,
    **REFERENCES,
    **{architecture.name: architecture for axis in AXES.values() for architecture in axis},
}


def architecture(name: str) -> Architecture:
    """The architecture of that name among the variants, references and axes.

    Raises:
        ValueError: if there is none, with the nearest name.
    """
    check_choice("architecture", name, ARCHITECTURES)
    return ARCHITECTURES[name]
