"""Every architecture by name: the variants, the references and the members of the axes."""

from __future__ import annotations

from googlenet.architecture import Architecture
from googlenet.axes import AXES
from googlenet.controls import original_of
from googlenet.references import REFERENCES
from googlenet.validation import check_choice
from googlenet.variants import VARIANTS

ARCHITECTURES: dict[str, Architecture] = {
    **VARIANTS,
    **REFERENCES,
    **{architecture.name: architecture for axis in AXES.values() for architecture in axis},
}


def architecture(name: str) -> Architecture:
    """The variant, reference or axis member of that name.

    Raises:
        ValueError: if there is none, naming those that exist and the nearest of them.
    """
    original = original_of(name)
    if original in ARCHITECTURES:
        raise ValueError(f"architecture {name!r} is a twin, which a suite's control makes; name {original} instead")
    check_choice("architecture", name, ARCHITECTURES)
    return ARCHITECTURES[name]
