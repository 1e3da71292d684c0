"""Requests and answers as a folder: one JSON file and the arrays beside it, as raw as they are in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from ..displacement_field import DisplacementField
from ..geometry import Lattice
from ..landmarks import Landmarks
from ..outcome import Outcome
from ..volume import Volume

CONTENT = "content.json"
PIECE_BYTES = 1024 * 1024
PLAIN = "dict"
"""The type of a dict that itself has an entry "type"."""


class ExchangeError(RuntimeError):
    """Something that can't be passed, or a folder that doesn't hold what was passed."""


class Packing:
    """A value on its way into a folder: its JSON is made at once, its arrays are only referred to until written.

    Values are Volume, Lattice, DisplacementField, Landmarks, Outcome, None, bool, numbers, text, and lists (tuples
    become lists) and dicts (with text as keys) of them. All of them come back exactly, NaN and infinity too.

    Attributes:
        folder: Where to; it is made.
        arrays: What is to be written to ``0.raw``, ``1.raw`` and so on.
        content: The JSON.

    Raises:
        ExchangeError: A value of another type.
    """

    def __init__(self, value: Any, folder: Path) -> None:
        self.folder = folder
        self.arrays: list[np.ndarray] = []
        plain = self._plain(value)
        files = [{"dtype": array.dtype.str, "shape": list(array.shape)} for array in self.arrays]
        self.content = json.dumps({"arrays": files, "value": plain})

    @property
    def total_bytes(self) -> int:
        """Of all arrays together."""
        return sum(array.nbytes for array in self.arrays)

    def written(self) -> Iterator[int]:
        """Write piece by piece, each at most :data:`PIECE_BYTES`; gives the number of bytes after each.

        Raises:
            OSError: A full disk, or a folder that can't be written.
        """
        self.folder.mkdir(parents=True)
        for number, array in enumerate(self.arrays):
            with (self.folder / f"{number}.raw").open("wb") as file:
                for piece in pieces(array):
                    file.write(piece)  # type: ignore[arg-type]
                    yield piece.nbytes
        (self.folder / CONTENT).write_text(self.content, encoding="ascii")

    def _plain(self, value: Any) -> Any:
        if isinstance(value, np.generic):
            value = value.item()
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, list | tuple):
            return [self._plain(entry) for entry in value]
        if isinstance(value, dict):
            return self._plain_dict(value)
        if isinstance(value, Lattice):
            return {"type": "lattice", "shape": list(value.shape), "ijk_to_ras": value.ijk_to_ras.tolist()}
        if isinstance(value, Volume):
            matrix = value.ijk_to_ras.tolist()
            return {"type": "volume", "array": self._number(value.array), "ijk_to_ras": matrix, "name": value.name}
        if isinstance(value, DisplacementField):
            return {"type": "field", "array": self._number(value.vectors), "lattice": self._plain(value.lattice)}
        if isinstance(value, Landmarks):
            points = value.points_ras.tolist()
            return {"type": "landmarks", "points_ras": points, "labels": list(value.labels), "name": value.name}
        if isinstance(value, Outcome):
            entries = {entry.name: self._plain(getattr(value, entry.name)) for entry in fields(value)}
            return {"type": "outcome", "entries": entries}
        msg = f"found a {type(value).__name__} to be passed to or from the worker, expected data"
        raise ExchangeError(msg)

    def _plain_dict(self, value: dict[Any, Any]) -> dict[str, Any]:
        if not all(isinstance(name, str) for name in value):
            msg = f"found the keys {list(value)}, expected text"
            raise ExchangeError(msg)
        entries = {name: self._plain(entry) for name, entry in value.items()}
        return {"type": PLAIN, "entries": entries} if "type" in value else entries

    def _number(self, array: np.ndarray) -> int:
        self.arrays.append(array)
        return len(self.arrays) - 1


def pieces(array: np.ndarray, size: int = PIECE_BYTES) -> Iterator[np.ndarray]:
    """The bytes of an array in C order, as uint8 arrays of at most ``size``: views where it is contiguous."""
    if array.flags.c_contiguous:
        flat = array.reshape(-1).view(np.uint8)
        yield from (flat[start : start + size] for start in range(0, flat.size, size))
        return
    rows = size // array[0].nbytes
    if rows == 0:
        for part in array:
            yield from pieces(part, size)
        return
    for start in range(0, len(array), rows):
        yield np.ascontiguousarray(array[start : start + rows]).reshape(-1).view(np.uint8)


def save(value: Any, folder: Path) -> None:
    """Write a value to a folder, which is made; what it may be and errors as in :class:`Packing`."""
    for _ in Packing(value, folder).written():
        pass


def load(folder: Path) -> Any:
    """Read what was written by :class:`Packing`; arrays are in memory and writable.

    Raises:
        ExchangeError: Files that are missing or cut off.
    """
    reading = Reading(folder)
    for _ in reading:
        pass
    return reading.value


class Reading:
    """A value on its way out of a folder; to be iterated over until it is read.

    Attributes:
        value: What was passed, in the end.
        total_bytes: Of all arrays together, after the first step.

    Args:
        folder: Where it is.
        removing: Whether each array's file is removed as soon as it is read.

    Raises:
        ExchangeError: Files that are missing or cut off.
    """

    def __init__(self, folder: Path, *, removing: bool = False) -> None:
        self.folder = folder
        self.removing = removing
        self.value: Any = None
        self.total_bytes = 0

    def __iter__(self) -> Iterator[int]:
        """Read piece by piece, each at most :data:`PIECE_BYTES`; gives the number of bytes after each."""
        try:
            content = json.loads((self.folder / CONTENT).read_text(encoding="ascii"))
            arrays = [np.empty(tuple(of["shape"]), np.dtype(of["dtype"])) for of in content["arrays"]]
            self.total_bytes = sum(array.nbytes for array in arrays)
            for number, array in enumerate(arrays):
                yield from self._filled(array, self.folder / f"{number}.raw")
        except OSError as error:
            msg = f"{self.folder}: {error.strerror or error}"
            raise ExchangeError(msg) from error
        self.value = value_of(content["value"], arrays)

    def _filled(self, array: np.ndarray, path: Path) -> Iterator[int]:
        found = path.stat().st_size
        if found != array.nbytes:
            msg = f"{path}: found {found} bytes, expected {array.nbytes}"
            raise ExchangeError(msg)
        with path.open("rb") as file:
            for piece in pieces(array):
                yield file.readinto(piece)  # type: ignore[arg-type]
        if self.removing:
            path.unlink()


def value_of(plain: Any, arrays: list[np.ndarray]) -> Any:
    """What :class:`Packing` made this JSON and these arrays of."""
    if isinstance(plain, list):
        return [value_of(entry, arrays) for entry in plain]
    if not isinstance(plain, dict):
        return plain
    kind = plain.get("type")
    if kind is None:
        return {name: value_of(entry, arrays) for name, entry in plain.items()}
    if kind == PLAIN:
        return {name: value_of(entry, arrays) for name, entry in plain["entries"].items()}
    if kind == "lattice":
        return Lattice(tuple(plain["shape"]), np.array(plain["ijk_to_ras"]))
    if kind == "volume":
        return Volume(arrays[plain["array"]], np.array(plain["ijk_to_ras"]), plain["name"])
    if kind == "field":
        return DisplacementField(arrays[plain["array"]], value_of(plain["lattice"], arrays))
    if kind == "landmarks":
        return Landmarks(np.array(plain["points_ras"]), tuple(plain["labels"]), plain["name"])
    return Outcome(**{name: value_of(entry, arrays) for name, entry in plain["entries"].items()})
