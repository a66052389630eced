"""Table 1 of the paper and the seven variants of the 2020 CIFAR ablation.

A variant is `replace(REDUCED, ...)`, so that one line shows what differs. Source of the rows: Szegedy et al. 2014,
arXiv:1409.4842, Table 1.
"""

from __future__ import annotations

from dataclasses import replace

from googlenet.architecture import Architecture, InceptionRow
from googlenet.validation import check_choice


def _row(ch1x1: int, *, reduce3: int, ch3x3: int, reduce5: int, ch5x5: int, pool: int) -> InceptionRow:
    """A row with the short names that keep the table below readable."""
    return InceptionRow(
        ch1x1=ch1x1, ch3x3_reduce=reduce3, ch3x3=ch3x3, ch5x5_reduce=reduce5, ch5x5=ch5x5, pool_proj=pool
    )


ROWS: dict[str, InceptionRow] = {
    "3a": _row(64, reduce3=96, ch3x3=128, reduce5=16, ch5x5=32, pool=32),
    "3b": _row(128, reduce3=128, ch3x3=192, reduce5=32, ch5x5=96, pool=64),
    "4a": _row(192, reduce3=96, ch3x3=208, reduce5=16, ch5x5=48, pool=64),
    "4b": _row(160, reduce3=112, ch3x3=224, reduce5=24, ch5x5=64, pool=64),
    "4c": _row(128, reduce3=128, ch3x3=256, reduce5=24, ch5x5=64, pool=64),
    "4d": _row(112, reduce3=144, ch3x3=288, reduce5=32, ch5x5=64, pool=64),
    "4e": _row(256, reduce3=160, ch3x3=320, reduce5=32, ch5x5=128, pool=128),
    "5a": _row(256, reduce3=160, ch3x3=320, reduce5=32, ch5x5=128, pool=128),
    "5b": _row(384, reduce3=192, ch3x3=384, reduce5=48, ch5x5=128, pool=128),
}
SHORT4_ROW = _row(256, reduce3=96, ch3x3=128, reduce5=16, ch5x5=96, pool=32)


def rows(names: str) -> tuple[InceptionRow, ...]:
    """Rows of Table 1 by name, for example ``rows("4a 4d 4e")``.

    Raises:
        ValueError: if a name is not in Table 1.
    """
    for name in names.split():
        check_choice("Table 1 row", name, ROWS)
    return tuple(ROWS[name] for name in names.split())


STAGE3, STAGE4, STAGE5 = rows("3a 3b"), rows("4a 4b 4c 4d 4e"), rows("5a 5b")

# The CIFAR ablation of 2020. Its write-up prints the code of reduced and gives parameter counts of the others; these
# modules reproduce all of them. For long, short2 and short3 the time ratios to reduced agree too; short3 and short4
# remain reconstructions: other modules could give the same counts.
REDUCED = Architecture(name="reduced", stages=(STAGE3, STAGE4, STAGE5))
VARIANTS: dict[str, Architecture] = {
    "naive": replace(REDUCED, name="naive", reduction=False, branch5x5="3x3"),
    "reduced": REDUCED,
    "long": replace(REDUCED, name="long", stages=(STAGE3, rows("4a 4b 4c 4d 4e 4e"), rows("5a 5a 5a 5b"))),
    "short": replace(REDUCED, name="short", stages=(STAGE3, rows("4a 4d 4e"), STAGE5)),
    "short2": replace(REDUCED, name="short2", stages=(STAGE3, rows("4a"), STAGE5)),
    "short3": replace(REDUCED, name="short3", stages=(rows("3a"), rows("4a"), rows("5b")), stem_channels=832),
    "short4": replace(REDUCED, name="short4", stages=((SHORT4_ROW,), (), rows("5b"))),
}
RECONSTRUCTED = ("short3", "short4")
