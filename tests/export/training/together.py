"""Trains in as many processes as torchrun starts; each tells in FOLDER/<rank>.npz what it ended with.

torchrun --nproc-per-node 2 together.py MODEL.onnx PICTURES.npz FOLDER [STEP at which the last process is interrupted]
"""

import os
import sys
from pathlib import Path

import numpy as np

from isthmus.contract.prepare import Preparation
from isthmus.export import samples
from isthmus.export.cutting import cuts
from isthmus.export.cutting.split import split
from isthmus.export.doors import opening
from isthmus.export.training import crew
from isthmus.export.training.distill import Progress, TrainingSettings, learn


def main(model: str, pictures: str, folder: str, at: int = -1) -> None:
    opened = opening.open_model(model).model
    halves = split(opened, cuts.find(cuts.enumerate(opened), "relu"))
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])

    def on_progress(progress: Progress) -> None:
        if progress.loss is not None and progress.step == at and rank == size - 1:
            raise KeyboardInterrupt

    settings = TrainingSettings(steps=20, batch=8)
    learned = learn(
        halves,
        samples.read(Path(pictures)),
        Preparation(width=16, height=16),
        channels=4,
        bits=4,
        settings=settings,
        checkpoint=Path(folder) / f"{rank}.checkpoint",
        on_progress=on_progress,
    )
    weights = {f"encoder.{name}": value.numpy() for name, value in learned.encoder.state_dict().items()}
    weights |= {f"decoder.{name}": value.numpy() for name, value in learned.decoder.state_dict().items()}
    np.savez(Path(folder) / f"{rank}.npz", steps=learned.steps, interrupted=learned.interrupted, **weights)
    crew.here().leave()
    (Path(folder) / "left_over").write_text(str(rank))


if __name__ == "__main__":
    main(*sys.argv[1:4], *map(int, sys.argv[4:]))
