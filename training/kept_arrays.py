"""Arrays that are computed once and kept in files between runs."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

Arrays = dict[str, np.ndarray]


class CacheWarning(UserWarning):
    """A kept file that can't be read."""


def kept_arrays(folder: Path, kind: str, key: object, make: Callable[[], Arrays]) -> Arrays:
    """Arrays from their file, which is made first where it isn't there.

    A file appears whole or not at all, also where several processes make it at once. One that is broken is made anew.

    Args:
        folder: Where the file is; made if need be.
        kind: What the file's name begins with.
        key: All that the arrays depend on, as JSON has it (texts, numbers, lists and dictionaries of them).
        make: Makes the arrays.

    Raises:
        OSError: The folder or the file can't be written or read; nothing half-written is left behind.

    Warns:
        CacheWarning: A broken file, which is replaced.
    """
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:24]
    path = folder / f"{kind}_{name}.npz"
    if path.exists():
        try:
            return read_arrays(path)
        except (ValueError, EOFError, zipfile.BadZipFile) as error:
            warnings.warn(f"{path}: found a broken file ({error}), made anew", CacheWarning, stacklevel=2)
    folder.mkdir(parents=True, exist_ok=True)
    write_arrays(path, make())
    return read_arrays(path)


def read_arrays(path: Path) -> Arrays:
    """All arrays of a ``.npz`` file."""
    with np.load(path) as stored:
        return dict(stored)


def write_arrays(path: Path, arrays: Arrays) -> None:
    """Write a ``.npz`` file under another name and rename it."""
    unfinished = path.with_name(f"{path.stem}.{os.getpid()}.unfinished.npz")
    try:
        np.savez(unfinished, **arrays)  # type: ignore[arg-type]
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def file_state(path: Path) -> list[list]:
    """What tells the present state of a file, or of a folder of them, from others: place, size, time of last change.

    A file that isn't there has no size. Voxels in a file of their own (of ``.mhd`` and ``.nhdr``) aren't looked at.
    """
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    states = [(file, file.stat() if file.exists() else None) for file in files]
    return [[str(file.resolve()), *((state.st_size, state.st_mtime_ns) if state else ())] for file, state in states]
