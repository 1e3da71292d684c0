"""``series``: all phases of a 4D image to one of them, each as ``register`` does it."""

from __future__ import annotations

import glob
import os
import re
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from ..batch.case import FILES, SERIES, Case, folder_name
from ..batch.manifest import missing_files
from ..batch.table import MOTION_CURVES, RESERVED
from ..image_io import read_landmarks, read_transform, read_volume
from ..image_io.files import extension
from ..landmarks import Landmarks
from ..motion_curves import Phi, motion_curves, write_motion_curves
from ..results.pair import check_inside
from ..results.staging import failing_as_output, staged_file
from ..volume import Volume
from .batch import raise_failures, register_all
from .console import say
from .errors import InputError

WILDCARDS = re.compile(r"[*?\[]")
NUMBER = re.compile(r"\d+")


def run(args: Namespace) -> None:
    """Register all phases to the reference, and write the motion curves of its landmarks.

    Raises:
        InputError: Phases that can't be told apart, no such reference, or a folder with another reference's results.
        FileError: A reference or landmarks that can't be read.
        CasesFailedError: Some phases failed; the others are done, and in the motion curves.
    """
    paths = ordered(args.phases)
    names = names_of(paths)
    number = chosen(paths, names, args.reference)
    reference, out = paths[number], Path(args.out)
    if not args.overwrite:
        check_reference(out, names[number])
    image = read_volume(reference)
    landmarks = read_landmarks(args.landmarks, image.lattice) if args.landmarks else None
    if landmarks is not None:
        check_inside(landmarks, image)
        motion_curves(landmarks, [(name, None) for name in names[:1]])  # their labels are good
    cases = [case_of(name, path, reference) for name, path in zip(names, paths, strict=True) if path != reference]
    say(f"Reference: {reference}; phases: {', '.join(names)}")
    answers = register_all(cases, out, args)
    if landmarks is not None:
        done = [case for case, answer in zip(cases, answers, strict=True) if not answer.error]
        maps: dict[str, Case | None] = {names[number]: None, **{case.name: case for case in done}}
        write_curves(out, landmarks, image, [(name, maps[name]) for name in names if name in maps])
    raise_failures(cases, answers)


def ordered(given: Sequence[str]) -> list[Path]:
    """The phases in their order: as they were given, but by number where they were given alphabetically.

    So a shell's ``phase_*.nii.gz``, which puts phase_10 before phase_2, comes into order.
    """
    paths = [Path(path) for pattern in given for path in expanded(pattern)]
    twice = [str(path) for number, path in enumerate(paths) if path in paths[:number]]
    if twice or len(paths) < 2:
        msg = f"found {', '.join(twice)} twice, expected each phase once" if twice else (
            f"found {len(paths)} phase, expected two or more"
        )  # fmt: skip
        raise InputError(msg)
    return sorted(paths, key=by_number) if paths == sorted(paths) else paths


def expanded(pattern: str) -> list[str]:
    """The files that a pattern stands for, where the shell left that to us (Windows)."""
    if Path(pattern).exists() or not WILDCARDS.search(pattern):
        return [pattern]
    found = sorted(glob.glob(pattern))  # noqa: PTH207 (an absolute pattern may be given)
    if not found:
        msg = f"{pattern}: found no such file, expected phases"
        raise InputError(msg)
    return found


def by_number(path: Path) -> list[tuple[int, str]]:
    """A key that sorts numbers in names by their value."""
    words = re.split(r"(\d+)", str(path))
    return [(int(word), "") if word.isdigit() else (-1, word) for word in words]


def names_of(paths: Sequence[Path]) -> list[str]:
    """Names of the phases: the files' without extension, with their folder's before it where that isn't enough.

    Raises:
        InputError: Phases that can't be told apart.
    """
    stems = [path.name.removesuffix(extension(path)) if path.is_file() else path.name for path in paths]
    for names in (stems, [f"{path.absolute().parent.name}_{stem}" for path, stem in zip(paths, stems, strict=True)]):
        if len({name.lower() for name in names}) == len(names):
            return names
    msg = f"found phases of the same name: {', '.join(map(str, paths))}, expected names or folders that differ"
    raise InputError(msg)


def chosen(paths: Sequence[Path], names: Sequence[str], reference: str) -> int:
    """Which phase is the reference: by its file, its name, or a number that only its name has.

    Raises:
        InputError: No phase of that name or number, or several.
    """
    exact = [n for n, path in enumerate(paths) if same_file(path, reference) or reference in (path.name, names[n])]
    if not exact and reference.isdigit():
        exact = [n for n, name in enumerate(names) if int(reference) in map(int, NUMBER.findall(name))]
    if len(exact) != 1:
        msg = (
            f"--reference {reference}: found {len(exact)} such phases among {', '.join(names)}, expected the number"
            " that one name alone has, or the file of a phase"
        )
        raise InputError(msg)
    return exact[0]


def check_reference(out: Path, name: str) -> None:
    """Refuse a folder in which the reference was registered itself: its results belong to another reference.

    Raises:
        InputError: That is so.
    """
    folder = out / folder_name(name, RESERVED)
    if folder.exists():
        msg = f"{folder}: found the reference registered to another phase, expected another folder, or --overwrite"
        raise InputError(msg)


def same_file(one: Path, other: str) -> bool:
    """Whether two paths lead to the same place, written in whatever way."""
    return Path(os.path.abspath(one)) == Path(os.path.abspath(other))  # noqa: PTH100 (pathlib keeps "..")


def case_of(name: str, phase: Path, reference: Path) -> Case:
    """The registration of a phase to the reference."""
    inputs: dict[str, str | None] = dict.fromkeys((*FILES, *SERIES))
    inputs |= {"fixed": str(reference.absolute()), "moving": str(phase.absolute())}
    problem = next(missing_files(inputs), "")
    origin = f"phase {name}"
    return Case(name, folder_name(name, RESERVED), origin, inputs, problem and f"{origin}{problem}")


def write_curves(out: Path, landmarks: Landmarks, image: Volume, phases: Sequence[tuple[str, Case | None]]) -> None:
    """Write where the reference's landmarks are in each phase.

    Args:
        out: The folder of the cases' folders.
        landmarks: In the reference.
        image: The reference.
        phases: Those that are done, each with its registration; the reference has none.
    """
    maps: list[tuple[str, Phi | None]] = []
    for name, case in phases:
        phi = None if case is None else read_transform(out / case.folder / "transform.h5", image.lattice)
        maps.append((name, phi))
    curves = motion_curves(landmarks, maps)
    with staged_file(out / MOTION_CURVES, overwrite=True) as unfinished, failing_as_output(out):
        write_motion_curves(unfinished, curves)
    say(f"Motion of {len(landmarks)} landmarks over {len(maps)} phases: {out / MOTION_CURVES}")
