"""Kept epochs: errors after the epochs whose weights the recipe keeps, and how to load them."""

from __future__ import annotations

from ablations.analysis.analyse import Analysis
from ablations.analysis.epochs.kept_epochs import measure_kept_epochs
from ablations.report.document import Column, Section, Table, Text
from ablations.report.formatting import number, percent

COLUMNS = (
    Column("variant", ("variant",)),
    Column("epoch", ("epoch",)),
    Column("n", ("n",)),
    Column("training error %", ("train_error_mean", "train_error_std"), format=percent),
    Column("training loss", ("train_loss_mean", "train_loss_std"), format=number),
    Column("validation error %", ("validation_error_mean", "validation_error_std"), format=percent),
)


def kept_epochs_section(analysis: Analysis) -> Section | None:
    """Errors after each kept epoch; None where no recipe keeps one."""
    found = measure_kept_epochs(analysis.results)
    if found.empty:
        return None
    texts = [
        "The recipe keeps the weights after these epochs. Errors and losses are those recorded after the epoch; none "
        f"is of the test images. `load_trained(run, epoch={found['epoch'].iloc[0]})` loads such a network from the "
        "folder of its run."
    ]
    not_held_out = found.loc[~found["held_out"], "variant"].unique()
    if len(not_held_out):
        texts.append(
            f"For {', '.join(not_held_out)} no images were held out, so only training images could choose between "
            "epochs, and they say little about unseen images; test images must never choose. To choose an epoch, set "
            "`validation_fraction` in the recipe."
        )
    return Section("Kept epochs", [Table("kept_epochs", found, columns=COLUMNS), *map(Text, texts)])
