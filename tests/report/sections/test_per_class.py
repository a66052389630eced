"""What a report says of predictions: calibration, the most degraded classes, and predictions that cannot be read."""

from __future__ import annotations

from dataclasses import replace

from ablations.analysis.analyse import Analysis
from ablations.report.sections.per_class import per_class_section
from tests.support.synthetic_suites import tables_of, texts_of


def test_calibration_and_the_most_degraded_classes_are_shown(one_seed: Analysis) -> None:
    section = per_class_section(one_seed)
    (reduced, short) = tables_of(section)["calibration"]
    # Every confidence is one half, and 92 % are right.
    assert list(reduced.values()) == ["reduced", "1", "42.00", "50.00", "92.00"]
    assert short["mean accuracy %"] == "91.97"
    (loss,) = tables_of(section)["per_class"]
    assert list(loss.values()) == ["short", "class 0", "10,000", "8.03", "+0.03", "–"]
    assert "recomputed from the predictions of 2 runs" in texts_of(section)[0]


def test_predictions_that_cannot_be_read_are_named_up_to_ten(unread: Analysis) -> None:
    notes = texts_of(per_class_section(unread))
    assert len(notes) == 2 and all("predictions.npz is missing" in note for note in notes)
    many = replace(unread, unread=tuple(f"run_{number}" for number in range(1234)))
    notes = texts_of(per_class_section(many))
    assert notes[9:] == ["run\\_9", "... and 1,224 more"]
