"""What all readers and writers share: their errors, and the checks that need no file format."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ..geometry import GeometryError, Lattice

DOUBLE_EXTENSIONS = (".nii.gz", ".mrk.json")


class FileError(ValueError):
    """A file that can't be read, used or written: the message names it, what was found and what was expected."""


class ImageWarning(UserWarning):
    """Something about a file that its user should know, although it could be read."""


def extension(path: Path) -> str:
    """The file's extension in lower case, ``.nii.gz`` and ``.mrk.json`` as a whole."""
    name = path.name.lower()
    return next((double for double in DOUBLE_EXTENSIONS if name.endswith(double)), path.suffix.lower())


def existing(path: str | os.PathLike[str]) -> Path:
    """The path, or a :class:`FileError` if nothing is there."""
    path = Path(path)
    if not path.exists():
        msg = f"{path}: no such file or folder"
        raise FileError(msg)
    return path


def unknown_extension(path: Path, known: Sequence[str]) -> FileError:
    """The error for a file whose extension says no format of ours."""
    found = extension(path) or "no extension"
    return FileError(f"{path}: found {found}, expected one of {', '.join(known)}")


@contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """Turn whatever a parser raises on bad bytes into a :class:`FileError` that names the file.

    Parsers of other projects promise no exception types for damaged input, so all are caught but a lack of memory.
    """
    try:
        yield
    except (FileError, MemoryError):
        raise
    except Exception as error:
        msg = f"{path}: can't be read as {what}, it is damaged, incomplete or something else ({reason(error)})"
        raise FileError(msg) from error


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what a writer raises (full disk, missing rights) into a :class:`FileError` that names the file."""
    if not path.parent.is_dir():
        msg = f"{path}: can't be written, there is no folder {path.parent}"
        raise FileError(msg)
    try:
        yield
    except FileError:
        raise
    except (OSError, RuntimeError) as error:  # ITK raises RuntimeError
        msg = f"{path}: can't be written, the disk is full or the place not writable ({reason(error)})"
        raise FileError(msg) from error


def write_texts(texts: Mapping[Path, str]) -> None:
    """Write files in UTF-8, all of them or none: what stood there before stays until all are written.

    Raises:
        FileError: A full disk, a place that isn't writable.
    """
    unfinished: dict[Path, Path] = {}
    try:
        for path, text in texts.items():
            with writing(path):
                if path.is_dir():
                    msg = f"{path.name} is a folder"
                    raise OSError(msg)
                unfinished[path] = path.with_name(f".unfinished.{secrets.token_hex(4)}.{path.name}")
                unfinished[path].write_text(text, encoding="utf-8", newline="")
        for path, temporary in unfinished.items():
            with writing(path):
                temporary.replace(path)
    finally:
        for temporary in unfinished.values():
            temporary.unlink(missing_ok=True)


def reason(error: BaseException, most: int = 300) -> str:
    """An exception's text on one line, without ITK's source positions and addresses."""
    text = re.sub(r"Exception thrown in SimpleITK \S+ \S+:\d+:", "", str(error))
    text = re.sub(r"(ITK|sitk::)\s*ERROR:\s*(\w+\(0x[0-9a-f]+\):)?", "", text)
    text = " ".join(text.split())
    return (text or type(error).__name__)[:most]


def three_axes(path: Path, shape: Sequence[int], components: int = 1) -> tuple[int, int, int]:
    """Check that an image is one scalar volume.

    Args:
        path: For the message.
        shape: Voxels along ``(i, j, k, ...)`` as in the file. One time point counts as none.
        components: Values in a voxel.

    Returns:
        Voxels along ``(i, j, k)``.

    Raises:
        FileError: 2D, several time points, or several values in a voxel.
    """
    if components != 1:
        msg = f"{path}: found {components} values in each voxel (colour or vector image), expected one scalar 3D image"
        raise FileError(msg)
    spatial, rest = tuple(shape[:3]), tuple(shape[3:])
    if len(spatial) < 3:
        msg = f"{path}: found a 2D image of {spatial} pixels, expected one scalar 3D image"
        raise FileError(msg)
    if any(n != 1 for n in rest):
        msg = f"{path}: found a {len(shape)}D image of {tuple(shape)} voxels, expected 3D: extract one time point"
        raise FileError(msg)
    return spatial[0], spatial[1], spatial[2]


def checked_lattice(path: Path, shape: tuple[int, int, int], ijk_to_ras: np.ndarray) -> Lattice:
    """The lattice of an image file; its errors name the file."""
    try:
        return Lattice(shape, ijk_to_ras)
    except GeometryError as error:
        msg = f"{path}: {error}"
        raise FileError(msg) from error


def described(lattice: Lattice) -> str:
    """A lattice in words: size, spacing, origin and directions, in the order of ``(i, j, k)`` and in RAS mm."""
    directions = lattice.ijk_to_ras[:3, :3] / lattice.spacing_mm
    return (
        f"{' x '.join(str(n) for n in lattice.shape[::-1])} voxels of {numbers(lattice.spacing_mm)} mm,"
        f" origin ({numbers(lattice.ijk_to_ras[:3, 3])}) RAS,"
        f" axes {' '.join(f'({numbers(column)})' for column in directions.T)}"
    )


def numbers(values: np.ndarray) -> str:
    """Numbers for a message, with five significant digits."""
    return " ".join(f"{value + 0.0:.5g}" for value in values)
