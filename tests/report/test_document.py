"""Tables of a report: which columns are numbers, what a row sorts by, and how cells are formatted and styled."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from ablations.report.document import Cell, Column, Style, Table
from ablations.report.formatting import NONE, count, percent


def only(column: Column, **frame: list[object]) -> tuple[bool, list[Cell]]:
    """Whether a table's only column is numeric, and its cells."""
    table = Table("t", pd.DataFrame(frame), columns=[column])
    return table.is_numeric(column), [cell for (cell,) in table.rows()]


def test_a_column_formats_its_sources_and_sorts_by_the_first() -> None:
    numeric, cells = only(Column("error", ("mean", "std"), format=percent), mean=[0.1 + 0.2, 0.5], std=[0.01, math.nan])
    assert numeric
    assert cells == [Cell("30.00 ± 1.00", "plain", 0.30000000000000004), Cell("50.00", "plain", 0.5)]


def test_what_is_missing_or_infinite_has_nothing_to_sort_by() -> None:
    assert only(Column("n", ("n",), format=count), n=[3.0, math.nan])[1][1] == Cell(NONE, "plain", None)
    assert only(Column("n", ("n",)), n=[math.inf])[1][0].value is None


@pytest.mark.parametrize(
    ("values", "numeric"),
    [
        ([1, 2], True),
        ([0.5, math.nan], True),
        ([None, None], True),  # a cost that no variant has
        (["1", "2"], False),
        (["short", None], False),
    ],
)
def test_columns_of_numbers_are_those_whose_values_are(values: list[object], numeric: bool) -> None:
    assert only(Column("c", ("c",)), c=values)[0] is numeric


def test_text_is_shown_as_it_is_and_sorts_as_text() -> None:
    text = "**a_b** | `c`"
    assert only(Column("c", ("c",)), c=[text])[1] == [Cell(text, "plain", None)]


def test_a_style_is_that_of_the_column_or_of_the_row() -> None:
    assert only(Column("c", ("c",), style="code"), c=["x"])[1][0].style == "code"

    def style(verdict: str) -> Style:
        return "strong" if verdict == "worse" else "plain"

    assert [cell.style for cell in only(Column("c", ("c",), style=style), c=["worse", "open"])[1]] == [
        "strong",
        "plain",
    ]


def test_a_table_of_a_frame_has_its_columns() -> None:
    table = Table.of("t", pd.DataFrame({"a": ["x", None], "b": [1, 2]}))
    assert table.texts().to_dict("list") == {"a": ["x", NONE], "b": ["1", "2"]}
    assert list(map(table.is_numeric, table.columns)) == [False, True]


def test_a_source_that_the_frame_lacks_is_an_error() -> None:
    with pytest.raises(KeyError, match="absent"):
        only(Column("c", ("absent",)), c=["x"])
