"""What a report says of predictions: calibration, the classes that a variant loses on, and unreadable predictions."""

from __future__ import annotations

import math
from dataclasses import replace

import pandas as pd

from ablations.analysis.analyse import Analysis
from ablations.report.sections.per_class import per_class_section
from tests.support.synthetic_suites import tables_of, texts_of


def test_calibration_is_shown_and_one_seed_has_no_classes(one_seed: Analysis) -> None:
    section = per_class_section(one_seed)
    (reduced, short) = tables_of(section)["calibration"]
    # Every confidence is one half, and 92 % are right; sqrt(2 / pi x 10,000 / 4) is 39.9 of 10,000 images.
    assert list(reduced.values()) == ["reduced", "1", "42.00", "0.40", "50.00", "92.00"]
    assert short["mean accuracy %"] == "91.97"
    assert "per_class" not in tables_of(section), "one seed has no spread"
    assert "recomputed from the predictions of 2 runs" in texts_of(section)[0]


def test_only_significant_losses_are_listed_and_at_most_three_a_variant(one_seed: Analysis) -> None:
    classes = pd.DataFrame(
        {
            "variant": ["reduced"] * 5 + ["short"] * 5,
            "class_number": [*range(5)] * 2,
            "class_name": [*"abcde"] * 2,
            "images": 1000,
            "error_mean": 0.2,
            "difference": [math.nan] * 5 + [0.01, 0.05, 0.04, 0.03, 0.09],
            "p_holm": [math.nan] * 5 + [0.01, 0.001, 0.02, 0.03, 0.06],
        }
    )
    section = per_class_section(replace(one_seed, per_class=classes))
    assert [row["class"] for row in tables_of(section)["per_class"]] == ["b", "c", "d"]
    assert "for all 5 pairs of a class and a variant" in texts_of(section)[1]
    assert "the largest 3 of each variant, 1 more are in" in texts_of(section)[1]
    none = per_class_section(replace(one_seed, per_class=classes.assign(p_holm=2 * classes["p_holm"] + 0.05)))
    assert texts_of(none)[1].startswith("On no class is the error of a variant shown to be higher than that of reduced")


def test_predictions_that_cannot_be_read_are_named_up_to_ten(unread: Analysis) -> None:
    notes = texts_of(per_class_section(unread))
    assert len(notes) == 2 and all("predictions.npz is missing" in note for note in notes)
    many = replace(unread, unread=tuple(f"run_{number}" for number in range(1234)))
    notes = texts_of(per_class_section(many))
    assert notes[9:] == ["run\\_9", "... and 1,224 more"]
