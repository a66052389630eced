"""TODO"""

from __future__ import annotations

from ablations.analysis.results import Results
from ablations.report.document import Block, Section, Table, Text
from ablations.report.formats.markdown import code, escape
from ablations.suites.confounds import declared_differences, differences


def differences_section(results: Results) -> Section:
    """How each variant is not like the baseline, and which of that is not of the axis."""
    found = differences(results.plan)
    footnoted = set(declared_differences(results.plan))
    rows = [
        {
            "variant": each.variant,
            "field": code(each.field) + (" (declared, not of the axis)" if each in footnoted else ""),
            "baseline": escape(each.baseline_value),
            "variant's value": escape(each.value),
        }
        for each in found
    ]
    blocks: list[Block] = [Table("differences", rows)] if rows else [Text("The variants do not differ.")]
    if rows and results.plan.baseline not in results.variants:
        blocks.append(
            Text(f"As {results.plan.baseline} is not among these runs, {results.variants[0]} stands for the baseline.")
        )
    if footnoted:
        listed = "; ".join(escape(str(each)) for each in sorted(footnoted))
        blocks.append(
            Text(
                f"**Declared difference.** {listed}. A verdict on such a variant speaks of both, this and the axis.",
                kind="note",
            )
        )
    return Section("What differs", blocks)
