"""What a case's result was made of, kept beside it, so that nothing is done twice and nothing stale is kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from ..image_io.files import extension
from ..results.staging import CASE_RECORD
from .case import FILES, SERIES, Case

PIECE_BYTES = 1 << 20
PARTNERS = {".mhd": (".raw", ".zraw"), ".nhdr": (".raw", ".raw.gz")}
"""Headers whose voxels are in a file of the same name beside them."""


class Standing(StrEnum):
    """How far a case is."""

    OPEN = "open"
    """Nothing is there, or only a part of what belongs there."""
    DONE = "done"
    OTHER = "other"
    """Something else is there."""


def standing(folder: Path, case: Case, settings: Mapping[str, Any]) -> tuple[Standing, str]:
    """How far a case is, judged by its folder, and for OTHER what is there, for a message.

    It is done if every file is there in the size that it was written with, and was made of the same inputs (the same
    bytes, whatever their names and dates) with the same settings.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return Standing.OPEN, ""
    try:
        record = json.loads((folder / CASE_RECORD).read_text(encoding="utf-8"))
        made_of, made_with, written = record["inputs"], record["settings"], record["files"]
    except (OSError, ValueError, TypeError, KeyError):
        return Standing.OTHER, "found files that aren't a case of a batch"
    changed = [name for name in (*FILES, *SERIES) if not same_input(made_of.get(name), case.inputs[name])]
    if changed:
        return Standing.OTHER, f"found a result of another {', '.join(changed)}"
    named = [
        f"{name} {made_with.get(name)!r} instead of {settings.get(name)!r}"
        for name in sorted({*made_with, *settings})
        if made_with.get(name) != settings.get(name)
    ]
    if named:
        return Standing.OTHER, f"found a result with other settings ({', '.join(named)})"
    complete = all((folder / name).is_file() and (folder / name).stat().st_size == n for name, n in written.items())
    return (Standing.DONE if complete else Standing.OPEN), ""


def fingerprints(case: Case) -> dict[str, Any]:
    """What a case is made of: of each input file its name, its state on disk and its content, or the series chosen.

    Raises:
        OSError: A file that can't be read.
    """
    found: dict[str, Any] = {name: case.inputs[name] for name in SERIES}
    for name in FILES:
        path = case.inputs[name]
        found[name] = path and {"name": Path(path).name, "state": state(Path(path)), "sha256": content(Path(path))}
    return found


def same_input(kept: Any, given: str | None) -> bool:
    """Whether an input is what it was: not given, the same series, or a file of the same state or else content."""
    if given is None or not isinstance(kept, Mapping):
        return bool(kept == given)
    path = Path(given)
    return bool(kept["state"] == state(path) or kept["sha256"] == content(path))


def write_record(folder: Path, case: Case, inputs: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Write the record of a case into the folder that holds all its other files.

    Raises:
        OSError: A full disk or a place that isn't writable.
    """
    sizes = {path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path.is_file()}
    record = {"case": case.name, "inputs": inputs, "settings": settings, "files": sizes}
    (folder / CASE_RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def state(path: Path) -> str:
    """Sizes and times of change of a file or folder: what is the same as long as nobody touches it, and read fast."""
    entries = [(name, file.stat()) for name, file in parts(path)]
    listed = "\n".join(f"{name} {about.st_size} {about.st_mtime_ns}" for name, about in entries)
    return hashlib.sha256(listed.encode()).hexdigest()


def content(path: Path) -> str:
    """SHA-256 of the bytes of a file, or of all files of a folder with their names."""
    total = hashlib.sha256()
    for name, file in parts(path):
        total.update(f"{name}\n{sha256(file)}\n".encode())
    return total.hexdigest()


def parts(path: Path) -> Iterator[tuple[str, Path]]:
    """The files that an input consists of, in a fixed order; the first one of an image file goes without its name."""
    if path.is_dir():
        yield from ((file.relative_to(path).as_posix(), file) for file in sorted(path.rglob("*")) if file.is_file())
        return
    yield "", path
    for ending in PARTNERS.get(extension(path), ()):
        if (partner := path.with_suffix(ending)).is_file():
            yield partner.name, partner


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest()
