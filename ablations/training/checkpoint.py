"""Checkpoints: training states and trained weights on disk, saved atomically and verified by SHA-256."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch

from ablations.records.disk import KEPT_STATES
from ablations.storage.atomic import replacing

logger = logging.getLogger(__name__)

_NAME = re.compile(r"epoch-([0-9]{6,})-([0-9a-f]{64})\.pt")
_WEIGHTS, _KEPT = "weights", "kept-epoch"


def save(folder: Path, state: dict[str, Any], *, epoch: int) -> None:
    """Save the state after `epoch` finished epochs and delete all but the newest two.

    Raises:
        DiskFull: if there is no room for it; the earlier states are still there.
    """
    _write(folder, state, stem=f"epoch-{epoch:06d}")
    for path in _newest_first(folder)[KEPT_STATES:]:
        path.unlink()


def load_newest(folder: Path, *, at_most: int, keys: Collection[str] = ()) -> tuple[int, dict[str, Any]] | None:
    """The newest intact state of at most `at_most` finished epochs, on the CPU, after their number; None without one.

    A state is intact if its file has the SHA-256 of its name, and if it has all these `keys`.

    A damaged file is moved aside under a name that ends in ``.damaged``, and logged as a warning. States of later
    epochs, and what a killed process left half-written, are deleted: only one process works on a run.
    """
    for unfinished in folder.glob(".*.tmp"):
        unfinished.unlink()
    for path in _newest_first(folder):
        epoch, sha256 = _epoch_and_sha256(path)
        if epoch > at_most:
            path.unlink()
            continue
        found = _sha256(path)
        if found != sha256:
            _move_aside(path, f"its SHA-256 is {found}, its name says another")
            continue
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # the checksum is right, but the content is no state
            _move_aside(path, f"it holds no training state: {type(error).__name__}")
            continue
        missing = [key for key in keys if not isinstance(state, dict) or key not in state]
        if not missing:
            return epoch, state
        _move_aside(path, f"it holds no training state: {', '.join(missing)} is missing")
    return None


def save_weights(folder: Path, model: torch.nn.Module, *, epoch: int | None = None) -> None:
    """Save the trained weights alone, or those after an epoch that is kept."""
    _write(folder, model.state_dict(), stem=_weights_stem(epoch))


def _weights_stem(epoch: int | None) -> str:
    return _WEIGHTS if epoch is None else f"{_KEPT}-{epoch:06d}"


def discard_states(folder: Path) -> None:
    """Delete the training states of a finished run, of which only the weights are still needed."""
    for path in _newest_first(folder):
        path.unlink(missing_ok=True)  # a process that finds the run finished deletes them too


def load_weights(folder: Path, *, epoch: int | None = None) -> dict[str, Any]:
    """The trained weights of a finished run, or those after a kept epoch, on the CPU.

    They are for ``build(...).load_state_dict(...)``.

    Raises:
        FileNotFoundError: if the run has not finished, or has not kept the weights after that epoch.
        ValueError: if the file's checksum is wrong.
    """
    stem = _weights_stem(epoch)
    found = sorted(folder.glob(f"{stem}-*.pt"))
    if not found:
        kept = ", ".join(str(int(path.name.split("-")[2])) for path in sorted(folder.glob(f"{_KEPT}-*.pt"))) or "none"
        why = "the run has not finished" if epoch is None else f"kept epochs are {kept}; the recipe's keep_epochs says"
        raise FileNotFoundError(f"{folder} has no {stem}-*.pt; {why}")
    path = found[-1]
    if path.stem != f"{stem}-{_sha256(path)}":
        raise ValueError(f"{path} is damaged: its SHA-256 is {_sha256(path)}, its name says another; train it again")
    return torch.load(path, map_location="cpu", weights_only=True)


def _write(folder: Path, state: dict[str, Any], *, stem: str) -> None:
    with replacing(folder / stem, needed_bytes=_tensor_bytes(state)) as temporary:
        # Through a file object: given a path, torch writes the file's name into it and so into its checksum.
        with temporary.open("wb") as file:
            torch.save(state, file)
        name = f"{stem}-{_sha256(temporary)}.pt"
    (folder / stem).replace(folder / name)
    for other in folder.glob(f"{stem}-*.pt"):
        if other.name != name:
            other.unlink()


def _tensor_bytes(state: Any) -> int:
    """Bytes of all tensors in nested dicts and lists: the minimum size of their file."""
    if isinstance(state, torch.Tensor):
        return state.nbytes
    parts = state.values() if isinstance(state, dict) else state if isinstance(state, list | tuple) else ()
    return sum(map(_tensor_bytes, parts))


def _move_aside(path: Path, reason: str) -> None:
    aside = path.rename(path.with_name(f"{path.name}.damaged"))
    earlier = _newest_first(path.parent)
    now = f"the state after epoch {_epoch_and_sha256(earlier[0])[0]} is taken" if earlier else "the run starts anew"
    size = aside.stat().st_size
    logger.warning("%s is damaged (%d bytes; %s): it was moved aside as .damaged and %s", path, size, reason, now)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _epoch_and_sha256(path: Path) -> tuple[int, str]:
    match = _NAME.fullmatch(path.name)
    assert match is not None
    return int(match[1]), match[2]


def _newest_first(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    states = (path for path in folder.iterdir() if _NAME.fullmatch(path.name))
    return sorted(states, key=_epoch_and_sha256, reverse=True)
