"""Reading what the commands are given."""

from __future__ import annotations

import warnings
from argparse import Namespace
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..image_io import ImageWarning, read_landmarks, read_mask, read_volume
from ..landmarks import Landmarks, matched
from ..results.output_files import is_ours
from ..results.pair import check_inside
from ..results.staging import OutputError
from ..volume import Volume
from .errors import InputError


@dataclass(frozen=True, eq=False)
class Inputs:
    """A pair of images with what was given along with it."""

    fixed: Volume
    moving: Volume
    fixed_mask: np.ndarray | None
    moving_mask: np.ndarray | None
    fixed_landmarks: Landmarks | None
    moving_landmarks: Landmarks | None


def read_pair(args: Namespace) -> Inputs:
    """Read the images, masks and landmarks of a command.

    Raises:
        InputError: The same file for both images.
        FileError: A file that can't be used.
        LandmarkError: Landmarks outside their image, or that can't be paired.
    """
    check_different(args)
    with ThreadPoolExecutor() as pool:
        fixed, moving = pool.map(read_volume, (args.fixed, args.moving), (args.series_fixed, args.series_moving))
    fixed_mask = read_mask(args.fixed_mask, fixed) if args.fixed_mask else None
    moving_mask = read_mask(args.moving_mask, moving) if args.moving_mask else None
    fixed_landmarks = landmarks_in(args.fixed_landmarks, fixed)
    moving_landmarks = landmarks_in(args.moving_landmarks, moving)
    if fixed_landmarks is not None and moving_landmarks is not None:
        matched(fixed_landmarks, moving_landmarks)
    return Inputs(fixed, moving, fixed_mask, moving_mask, fixed_landmarks, moving_landmarks)


def check_different(args: Namespace) -> None:
    """Raise :class:`InputError` where both images are one: a registration of it says nothing."""
    fixed, moving = Path(args.fixed), Path(args.moving)
    both = fixed.exists() and moving.exists() and fixed.samefile(moving)
    if both and args.series_fixed == args.series_moving:
        msg = f"{args.moving}: found the same image as fixed and as moving, expected two"
        raise InputError(msg)


def landmarks_in(path: str | None, volume: Volume) -> Landmarks | None:
    """The landmarks of a file, all of them within their image; None without a file."""
    if path is None:
        return None
    landmarks = read_landmarks(path, volume.lattice)
    check_inside(landmarks, volume)
    return landmarks


def check_untouched(out: Path, inputs: list[str | None]) -> None:
    """Raise :class:`OutputError` where a result would replace one of the inputs."""
    for path in (Path(name) for name in inputs if name):
        if path.exists() and out.exists() and path.resolve().parent == out.resolve() and is_ours(path.name):
            msg = f"{path}: this input would be replaced by the result; choose another folder for --out"
            raise OutputError(msg)


@contextmanager
def noted(notes: list[str]) -> Iterator[None]:
    """Collect what the readers warn of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ImageWarning)
        yield
    for warning in caught:
        if issubclass(warning.category, ImageWarning):
            notes.append(str(warning.message))
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


def given_paths(args: Namespace) -> list[str | None]:
    """All input files of a command."""
    names = ("fixed", "moving", "fixed_mask", "moving_mask", "fixed_landmarks", "moving_landmarks")
    weights = getattr(args, "weights", None)
    return [*(getattr(args, name, None) for name in names), None if weights in ("bundled", "none") else weights]
