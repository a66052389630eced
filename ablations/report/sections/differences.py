"""Differences between the configurations of the variants and the baseline."""

from __future__ import annotations

import pandas as pd

from ablations.analysis.analyse import Analysis
from ablations.report.document import Block, Column, Section, Table, Text
from ablations.report.formats.markdown import escape
from ablations.suites.confounds import declared_differences, differences

TITLE, FOLD = "Differences", "The configuration of each variant, where it differs from the baseline's"


def differences_section(analysis: Analysis) -> Section:
    """The fields in which variants differ from the baseline, and which of them are not part of the axis."""
    results = analysis.results
    plan = results.plan
    found, declared = differences(plan), sorted(set(declared_differences(plan)))
    if not found:
        return Section(TITLE, [Text("The variants do not differ.")], fold=FOLD)
    frame = pd.DataFrame(found).assign(
        field=[each.field for each in found], declared=[each in declared for each in found]
    )
    columns = [
        Column("variant", ("variant",)),
        Column("field", ("field",), style="code"),
        Column("baseline", ("baseline_value",)),
        Column("value", ("value",)),
    ]
    if declared:
        columns.append(Column("part of the axis", ("axis",)))
        frame["axis"] = frame["declared"].map({True: "no, declared", False: "yes"})
    blocks: list[Block] = [Table("differences", frame, columns=columns)]
    if plan.baseline not in results.variants:
        blocks.append(Text(f"{plan.baseline} is not among these runs; differences are from {results.variants[0]}."))
    if declared:
        if results.different_recipes:
            said = "The whole recipe. No difference in error is due to the architecture alone."
        else:
            listed = "; ".join(escape(str(each)) for each in declared)
            said = f"{listed}. A verdict on such a variant is about both this difference and the axis."
        blocks.append(Text(f"**Declared difference.** {said}", kind="note"))
    return Section(TITLE, blocks, fold="" if declared else FOLD)
