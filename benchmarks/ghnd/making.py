"""Makes what is measured: pictures to distil on, and bundles by the command that a user would give."""

import os
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from benchmarks.ghnd import photos
from benchmarks.ghnd.pair import MODEL

RECIPE = Path(__file__).with_name("recipe.toml")
CLOTHES = 900
"""Photographs of clothes among the others: all of them would outnumber everything else."""
FILMS = {"one-by-one-person-detection.mp4": 20, "bottle-detection.mp4": 40, "bgs_video.avi": 12}
"""Every so many-th frame."""
THRICE, TWICE = 3, 2
"""How often a photograph of a thing, and a frame, are shown as often as one of clothes once."""


def distilled_on(data: Path, folder: Path, count: int) -> Path:
    """A folder of mosaics, made once."""
    done = folder / "done"
    if not done.exists():
        folder.mkdir(parents=True, exist_ok=True)
        for number, picture in enumerate(photos.mosaics(_photos(data), count, seed=0)):
            cv2.imwrite(str(folder / f"{number:05}.png"), picture)
        done.touch()
    return folder


def _photos(data: Path) -> list[np.ndarray]:
    things = photos.in_tar(data / "imagenet_samples" / "imagenet_samples.tar")
    clothes = photos.in_tar(data / "clothing10" / "clothing_trainval.tar")
    chosen = np.random.default_rng(0).permutation(len(clothes))[:CLOTHES]
    frames = [frame for name, every in FILMS.items() for frame in photos.film_frames(data / "video" / name, every)]
    return things * THRICE + [clothes[place] for place in chosen] + frames * TWICE


def annotated(data: Path, folder: Path) -> Path:
    """The file of true boxes with its pictures beside it."""
    source = data / "coco128_train2017"
    target = folder / "annotations.json"
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(source / "images.tar") as archive:
            archive.extractall(folder, filter="data")
        target.write_bytes((source / "annotations.json").read_bytes())
    return target


def bundle(command: Sequence[str], output: Path, model: Path) -> Path:
    """Run `isthmus export` unless the bundle is there; an interrupted training goes on.

    Raises:
        SystemExit: the command failed; it said why.
    """
    if not output.exists():
        output.parent.mkdir(parents=True, exist_ok=True)
        full = [sys.executable, "-m", "isthmus", "export", str(model), "-o", str(output), *command, "--resume"]
        ended = subprocess.run(full, env={**os.environ, MODEL: str(model)}, check=False)
        if ended.returncode or not output.exists():
            raise SystemExit(ended.returncode or 1)
    return output
