"""Save the state of a run after an epoch, and resume the run from the newest state."""

from __future__ import annotations

from ablations.records.record import Epoch
from ablations.records.run_folder import RunFolder
from ablations.training import checkpoint
from ablations.training.evaluation import BestEpoch
from ablations.training.step import TrainStep

MODEL, OPTIMIZER, BEST = KEYS = ("model", "optimizer", "chosen")  # of a saved state, as version 0.3 has them


def save_state(folder: RunFolder, train_step: TrainStep, best: BestEpoch | None, *, epoch: int) -> None:
    """Save what the run needs to go on after `epoch`, the one that has just been recorded.

    Raises:
        DiskFull: if there is no room for it; the earlier states are still there.
    """
    state = {
        MODEL: train_step.model.state_dict(),
        OPTIMIZER: train_step.optimizer.state_dict(),
        BEST: best and best._asdict(),
    }
    checkpoint.save(folder.checkpoints, state, epoch=epoch)


def resume(folder: RunFolder, train_step: TrainStep) -> tuple[list[Epoch], BestEpoch | None]:
    """Load the newest state whose epochs were all recorded, and drop what the run's folder holds beyond them.

    Returns the epochs trained so far and the best of them; an empty list and None where the run starts anew.
    """
    folder.claim()
    recorded = folder.epochs.read()
    found = checkpoint.load_newest(folder.checkpoints, at_most=len(recorded), keys=KEYS)
    number, state = found or (0, None)
    folder.rewind(epochs=number, finished=number == train_step.recipe.epochs)
    if state is None:
        return [], None
    train_step.load_state(state[MODEL], state[OPTIMIZER])
    return list(recorded[:number]), BestEpoch(**state[BEST]) if state[BEST] else None
