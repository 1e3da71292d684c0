"""What a benchmark keeps: one JSON file a registration, one about the whole run, and fields for the pictures."""

from __future__ import annotations

import hashlib
import json
import types
import typing
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from LungDeepRegLib.displacement_field import DisplacementField
from LungDeepRegLib.geometry import Lattice
from LungDeepRegLib.json_values import plain
from LungDeepRegLib.results.staging import failing_as_output, staged_file

from ..errors import TrainingError

VALIDATION, DRAWN, REST, PAIR = "validation", "drawn", "rest", "pair"
GROUPS = (VALIDATION, DRAWN, REST, PAIR)
"""Within validation patients, the random ones all methods do, the others; one pair that isn't of a cohort."""
UNREGISTERED, AFFINE = "unregistered", "affine"
"""The rows that the runner makes itself."""
RECORDS, FIELDS, RUN = "records", "fields", "run.json"


class RecordError(TrainingError):
    """A kept file that can't be used: the message names it, and says what was found and expected."""


@dataclass(frozen=True)
class Record:
    """One registration and what was measured of it. All figures are None where ``error`` says why.

    Attributes:
        method: Its name in :data:`training.methods.METHODS`, or ``unregistered`` or ``affine``.
        fixed: Patient and phase of the image that stayed: ``P07 exhale``.
        moving: Those of the image that was deformed.
        fixed_label: ``ILD``, ``healthy`` or whatever the manifest says.
        moving_label: The moving image's.
        within_patient: Whether both are one patient's.
        group: One of :data:`GROUPS`.
        threads: How many the method could use.
        inputs: Digest of the two images, masks, landmarks and of the way they were made ready.
        settings: Digest of the method's settings, the number of threads and the device.
        error: Why there is no result, or None.
        seconds: Of the method, on the CPU, without reading, alignment and measuring.
        alignment_seconds: Of the alignment, which is the same for all methods.
        gpu_seconds: Of one of our methods on a GPU, where there is one.
        peak_memory_mb: Most resident memory of the process while the method ran, or None where it can't be known.
        dice: Of the fixed and the moved lung mask (nearest neighbour), 0 to 1; None without masks.
        hausdorff95_mm: Of their surfaces; within patients only, as are similarity and landmarks.
        similarity: Mean squared local correlation coefficient near the fixed lungs, 0 to 1.
        landmarks: By observer (``1``, ``2``, ``truth``) the means over the landmarks of the absolute differences
            ``dx``, ``dy``, ``dz`` (R, A, S) and of the distance ``ds`` after registration, in mm.
        inter_observer: The same between observers 1 and 2, mean over both images; independent of the method.
        folded_percent_lung: Cells of the fixed image's voxels whose map folds, in the box of the lungs, in the lungs.
        folded_percent: The same in the whole box of the lungs.
        jacobian_sd: SD of ``det(d phi / d x)`` in the fixed lungs.
        log_jacobian_sd: SD of its logarithm there, where it is above zero.
    """

    method: str
    fixed: str
    moving: str
    fixed_label: str
    moving_label: str
    within_patient: bool
    group: str
    threads: int
    inputs: str
    settings: str
    error: str | None = None
    seconds: float | None = None
    alignment_seconds: float | None = None
    gpu_seconds: float | None = None
    peak_memory_mb: float | None = None
    dice: float | None = None
    hausdorff95_mm: float | None = None
    similarity: float | None = None
    landmarks: dict[str, dict[str, float]] | None = None
    inter_observer: dict[str, float] | None = None
    folded_percent_lung: float | None = None
    folded_percent: float | None = None
    jacobian_sd: float | None = None
    log_jacobian_sd: float | None = None


@dataclass(frozen=True)
class MethodNote:
    """What the report says of a method, whether it ran or not.

    Attributes:
        title: As in the tables.
        costly: Of all combinations only the drawn ones.
        settings: Whatever describes it: published settings, optimiser, versions of its library.
        missing: Why it can't run here (not installed, and what would install it), or None.
    """

    title: str
    costly: bool
    settings: dict[str, Any]
    missing: str | None = None


@dataclass(frozen=True)
class RunNote:
    """What the report says of a whole run: ``run.json``.

    Attributes:
        command: The command line, without folders.
        methods: By name, in the order of the tables; ``unregistered`` and ``affine`` among them.
        cohort: Name of the cohort's file, or of the pair.
        one_pair: Whether this was ``--pair``.
        synthetic: Whether the images are computed, not scanned.
        protocol: ``paper`` or ``as-is``: how images were made ready.
        lattice_shape: Voxels ``(K, J, I)`` of the first fixed image as registered, and their size in mm ``(i, j, k)``.
        spacing_mm: See ``lattice_shape``.
        threads: Of each method.
        workers: Methods side by side.
        seed: Of the draw.
        machine: Processor, cores, memory, GPU, system.
        versions: Of this program and the libraries.
        combinations: How many there are in all (169 for 13 patients), and how many ``drawn`` ones.
        drawn: See ``combinations``.
    """

    command: str
    methods: dict[str, MethodNote]
    cohort: str
    one_pair: bool
    synthetic: bool
    protocol: str
    lattice_shape: list[int]
    spacing_mm: list[float]
    threads: int
    workers: int
    seed: int
    machine: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    combinations: int = 0
    drawn: int = 0


def digest(values: Any) -> str:
    """A short digest of anything that JSON can hold, the same whatever the order of names."""
    return hashlib.sha256(json.dumps(plain(values), sort_keys=True).encode()).hexdigest()[:16]


def file_name(fixed: str, moving: str) -> str:
    """The name of a pair's files, without an extension; names that no file can have get their signs replaced."""
    return "__".join("".join(c if c.isalnum() or c in "-_." else "_" for c in name) for name in (fixed, moving))


def record_file(out: Path, method: str, fixed: str, moving: str) -> Path:
    """Where the record of a pair is."""
    return out / RECORDS / method / f"{file_name(fixed, moving)}.json"


def field_file(out: Path, method: str, fixed: str, moving: str) -> Path:
    """Where the field of a pair is kept."""
    return out / FIELDS / method / f"{file_name(fixed, moving)}.npz"


def write_record(out: Path, record: Record) -> Path:
    """Write a record, whole or not at all, in the place of an earlier one.

    Raises:
        OutputError: It can't be written.
    """
    path = record_file(out, record.method, record.fixed, record.moving)
    _write_json(path, asdict(record))
    return path


def read_record(path: Path) -> Record:
    """Read a record.

    Raises:
        RecordError: A file that holds something else.
    """
    values = _read_json(path)
    expected = typing.get_type_hints(Record)
    if set(values) != set(expected):
        unlike = ", ".join(sorted(set(values) ^ set(expected)))
        msg = f"{path}: found another record than this program writes (differs in {unlike}); choose another --out"
        raise RecordError(msg)
    wrong = [name for name, kind in expected.items() if not _fits(values[name], kind)]
    if wrong:
        msg = f"{path}: found {wrong[0]} {values[wrong[0]]!r:.60}, expected {expected[wrong[0]]}"
        raise RecordError(msg)
    return Record(**values)


def read_records(out: Path) -> list[Record]:
    """All records below a benchmark's folder, by method and pair.

    Raises:
        RecordError: A file that is no record.
    """
    return [read_record(path) for path in sorted((out / RECORDS).glob("*/*.json")) if not path.name.startswith(".")]


def write_run(out: Path, note: RunNote) -> None:
    """Write what the report says of the run.

    Raises:
        OutputError: It can't be written.
    """
    _write_json(out / RUN, asdict(note))


def read_run(out: Path) -> RunNote:
    """What an earlier run wrote of itself.

    Raises:
        RecordError: There is none, or it holds something else.
    """
    values = _read_json(out / RUN)
    try:
        methods = {name: MethodNote(**note) for name, note in values.pop("methods").items()}
        return RunNote(methods=methods, **values)
    except (TypeError, KeyError, AttributeError) as error:
        names = ", ".join(part.name for part in fields(RunNote))
        msg = f"{out / RUN}: found another description than this program writes, expected {names}"
        raise RecordError(msg) from error


def write_field(out: Path, record: Record, phi: DisplacementField) -> None:
    """Keep phi for the pictures: every second node, float16, compressed.

    Raises:
        OutputError: It can't be written.
    """
    path = field_file(out, record.method, record.fixed, record.moving)
    matrix = phi.lattice.ijk_to_ras.copy()
    matrix[:3, :3] *= 2
    with _unfinished(path) as file:
        np.savez_compressed(file, vectors=phi.vectors[::2, ::2, ::2].astype(np.float16), ijk_to_ras=matrix)


def read_field(out: Path, method: str, fixed: str, moving: str) -> DisplacementField | None:
    """The kept field of a pair, or None where none was kept.

    Raises:
        RecordError: A file that can't be read.
    """
    path = field_file(out, method, fixed, moving)
    if not path.exists():
        return None
    try:
        with np.load(path) as stored:
            vectors, matrix = stored["vectors"].astype(np.float32), stored["ijk_to_ras"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        msg = f"{path}: found a file that can't be read ({error}), expected a field; remove it and its record"
        raise RecordError(msg) from error
    return DisplacementField(vectors, Lattice(vectors.shape[:3], matrix))


@contextmanager
def _unfinished(path: Path) -> Iterator[Path]:
    """A file to be written in the place of an earlier one; its folder is made. Any OSError is an OutputError."""
    with failing_as_output(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with staged_file(path, overwrite=True) as file:
            yield file


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    with _unfinished(path) as file:
        file.write_text(json.dumps(plain(dict(values)), indent=2) + "\n", encoding="utf-8")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"{path}: found no readable JSON ({error})"
        raise RecordError(msg) from error
    if not isinstance(values, dict):
        msg = f"{path}: found {values!r:.60}, expected an object"
        raise RecordError(msg)
    return values


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value from JSON has a field's type; an int is as good as a float."""
    kinds = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    for one in kinds:
        plain_kind = typing.get_origin(one) or one
        if isinstance(value, plain_kind) and not (isinstance(value, bool) and plain_kind is not bool):
            return True
        if plain_kind is float and isinstance(value, int) and not isinstance(value, bool):
            return True
    return False
