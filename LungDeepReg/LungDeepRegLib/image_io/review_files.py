"""Files of landmark pairs: one table with everything, or a list of points for each image."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..geometry import Lattice
from ..landmark_review.description import with_words, words_of
from ..landmark_review.pairs import LandmarkPair, Point, Provenance, State, check_labels
from ..landmarks import LandmarkError, Landmarks, shortened
from .csv_tables import delimiter_of
from .files import FileError, existing, extension, reading, unknown_extension, write_texts
from .landmark_files import TEXT_EXTENSIONS, YES, points_text, read_points
from .point_frames import point_of
from .point_lists import PointList

FIXED, MOVING = (tuple(f"{image}_{axis}" for axis in "ras") for image in ("fixed", "moving"))
WORDS = ("observer", "fixed_provenance", "moving_provenance", "state", "locked")
COLUMNS = ("label", *FIXED, *MOVING, *WORDS)


def write_pairs(path: str | os.PathLike[str], pairs: Sequence[LandmarkPair]) -> None:
    """Write pairs, of one observer or of several, to a .csv table that holds all there is to know of them.

    Its columns: :data:`COLUMNS`. Coordinates are RAS mm; those of a moving point that isn't placed are empty.

    Raises:
        FileError: Another extension, a full disk, a place that isn't writable.
        LandmarkError: A label that an observer has twice.
    """
    path = Path(path)
    if extension(path) != ".csv":
        raise unknown_extension(path, (".csv",))
    check_observers(pairs, path.name)
    text = io.StringIO()
    text.write("# coordinate system: RAS\n")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for pair in pairs:
        words = [pair.observer, pair.fixed_provenance, pair.moving_provenance, pair.state, str(pair.locked).lower()]
        table.writerow([pair.label, *pair.fixed_ras, *(pair.moving_ras or ("", "", "")), *words])
    write_texts({path: text.getvalue()})


def read_pairs(path: str | os.PathLike[str]) -> list[LandmarkPair]:
    """Read the table that :func:`write_pairs` writes; words that are missing are those of a new pair.

    Raises:
        FileError: Missing or damaged file, other columns, a bad number or word. Names file and line.
        LandmarkError: A label that an observer has twice.
    """
    path = existing(path)
    with reading(path, "a table of landmark pairs"):
        text = path.read_text(encoding="utf-8-sig")
    rows = [(number, row) for number, row in numbered_rows(text) if any(cell.strip() for cell in row)]
    names = [name.strip().lower() for name in rows[0][1]] if rows else []
    missing = [name for name in ("label", *FIXED, *MOVING) if name not in names]
    if missing:
        msg = f"{path}: found the columns {', '.join(names) or 'none'}, expected also {', '.join(missing)}"
        raise FileError(msg)
    pairs = [pair_of(dict(zip(names, row, strict=False)), f"{path}, line {number}") for number, row in rows[1:]]
    check_observers(pairs, path.name)
    return pairs


def is_pair_table(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a table that :func:`read_pairs` reads, by its columns."""
    path = Path(path)
    if extension(path) != ".csv" or not path.is_file():
        return False
    with reading(path, "a CSV table"):
        text = path.read_text(encoding="utf-8-sig")
    header = next((row for _, row in numbered_rows(text)), [])
    return {*FIXED, *MOVING} <= {name.strip().lower() for name in header}


def numbered_rows(text: str) -> list[tuple[int, list[str]]]:
    """The rows of a table with the line in which each ends; comments before the header are left out."""
    lines = text.splitlines(keepends=True)
    comments = next((number for number, line in enumerate(lines) if not line.lstrip().startswith("#")), len(lines))
    rest = lines[comments:]
    table = csv.reader(rest, delimiter=delimiter_of(rest[0]) if rest else ",")
    return [(comments + table.line_num, row) for row in table]


def pair_of(row: dict[str, str], where: str) -> LandmarkPair:
    """The pair of one row."""
    moving = [row.get(name, "").strip() for name in MOVING]
    words = {name: row[name].strip() for name in WORDS if row.get(name, "").strip()}
    locked = words.pop("locked", "").lower() in YES
    try:
        return LandmarkPair(
            row["label"],
            point_of([row.get(name) for name in FIXED], where),  # type: ignore[arg-type]
            point_of(moving, where) if any(moving) else None,  # type: ignore[arg-type]
            locked=locked,
            **words,  # type: ignore[arg-type]
        )
    except FileError:
        raise
    except ValueError as error:
        msg = f"{where}: {error}"
        raise FileError(msg) from error


def check_observers(pairs: Sequence[LandmarkPair], name: str) -> None:
    """Raise :class:`LandmarkError` where an observer has a label twice."""
    for observer in dict.fromkeys(pair.observer for pair in pairs):
        own = [pair for pair in pairs if pair.observer == observer]
        check_labels(own, f"{name}, observer {observer}" if observer else name)


def write_pair_lists(
    fixed_path: str | os.PathLike[str],
    moving_path: str | os.PathLike[str],
    pairs: Sequence[LandmarkPair],
    voxels_of: tuple[Lattice, Lattice] | None = None,
) -> None:
    """Write one observer's pairs as two lists of points, in any format of :func:`landmark_files.write_landmarks`.

    .mrk.json, .fcsv and .csv keep observer, provenance, state and lock; elastix' and DIR-Lab's text keeps the points
    alone, so that line n of both files is one pair.

    Args:
        fixed_path: For the fixed points.
        moving_path: For the moving ones.
        pairs: The pairs.
        voxels_of: The fixed and the moving image, to write .txt and .pts as DIR-Lab has them.

    Raises:
        FileError: Unknown extension; a place that isn't writable; pairs without a moving point where none can be left
            out. Neither file is written then.
        LandmarkError: No pairs, none with a moving point, or a label that stands twice.
    """
    fixed_path, moving_path = Path(fixed_path), Path(moving_path)
    check_labels(pairs, fixed_path.name)
    alone = [pair.label for pair in pairs if pair.moving_ras is None]
    unlabelled = [path for path in (fixed_path, moving_path) if extension(path) in TEXT_EXTENSIONS]
    if alone and unlabelled:
        msg = (
            f"{unlabelled[0]}: can't be written, since such files are paired line by line; found no moving point for"
            f" {shortened(alone)}, expected one for each pair"
        )
        raise FileError(msg)
    fixed_of, moving_of = voxels_of or (None, None)
    placed = [pair for pair in pairs if pair.moving_ras is not None]
    fixed = point_list(pairs, "fixed", fixed_path.name)
    moving = point_list(placed, "moving", moving_path.name)
    texts = {
        fixed_path: points_text(fixed_path, fixed, fixed_of),
        moving_path: points_text(moving_path, moving, moving_of),
    }
    write_texts(texts)


def point_list(pairs: Sequence[LandmarkPair], image: str, name: str) -> PointList:
    """The points of the pairs in the ``fixed`` or ``moving`` image, with what is known of them in words."""
    points = np.array([getattr(pair, f"{image}_ras") for pair in pairs], dtype=np.float64).reshape(-1, 3)
    landmarks = Landmarks(points, tuple(pair.label for pair in pairs), name)
    descriptions = (
        with_words(
            "", {"provenance": getattr(pair, f"{image}_provenance"), "state": pair.state, "observer": pair.observer}
        )
        for pair in pairs
    )
    return PointList(landmarks, tuple(descriptions), tuple(pair.locked for pair in pairs))


def read_pair_lists(
    fixed_path: str | os.PathLike[str],
    moving_path: str | os.PathLike[str],
    images: tuple[Lattice, Lattice] | None = None,
    *,
    observer: str = "",
) -> list[LandmarkPair]:
    """Read pairs from two lists of points.

    Paired by label where every moving label stands in the fixed list (fixed points may lack a partner), otherwise by
    order where no label does and there are as many. A point whose description names no provenance is taken for manual.

    Args:
        fixed_path: A file of :func:`landmark_files.read_landmarks`.
        moving_path: Likewise.
        images: The fixed and the moving image, for files of voxels.
        observer: Who placed points whose description doesn't say so.

    Raises:
        FileError: A file that can't be used, or an unknown word in a description.
        LandmarkError: Lists that can't be paired, or a label that stands twice.
    """
    fixed_of, moving_of = images or (None, None)
    fixed, moving = read_points(fixed_path, fixed_of), read_points(moving_path, moving_of)
    partners = partners_of(fixed.landmarks, moving.landmarks)
    pairs = []
    for number, label in enumerate(fixed.landmarks.labels):
        partner = partners.get(number)
        own = {"provenance": Provenance.MANUAL, "observer": observer, **words_of(fixed.descriptions[number])}
        other = {} if partner is None else words_of(moving.descriptions[partner])
        try:
            pair = LandmarkPair(
                label,
                point(fixed.landmarks, number),
                None if partner is None else point(moving.landmarks, partner),
                own["observer"],
                Provenance(own["provenance"]),
                Provenance(other.get("provenance", Provenance.MANUAL)),
                State(own.get("state", State.UNREVIEWED)),
                fixed.locked[number] or (partner is not None and moving.locked[partner]),
            )
        except ValueError as error:
            msg = f"{fixed_path}, point {label}: {error}"
            raise FileError(msg) from error
        pairs.append(pair)
    check_labels(pairs, Path(fixed_path).name)
    return pairs


def point(landmarks: Landmarks, number: int) -> Point:
    """One of the points, R, A, S in mm."""
    r, a, s = landmarks.points_ras[number].tolist()
    return r, a, s


def partners_of(fixed: Landmarks, moving: Landmarks) -> dict[int, int]:
    """For the numbers of fixed points the number of each one's moving point, see :func:`read_pair_lists`."""
    order = {label: number for number, label in enumerate(moving.labels)}
    common = set(order) & set(fixed.labels)
    if len(order) == len(moving) and len(common) == len(moving):
        return {number: order[label] for number, label in enumerate(fixed.labels) if label in order}
    if not common and len(fixed) == len(moving):
        return {number: number for number in range(len(fixed))}
    twice = [label for label in order if moving.labels.count(label) > 1]
    strange = [label for label in order if label not in fixed.labels]
    msg = (
        f"found {len(fixed)} points in {fixed.name} and {len(moving)} in {moving.name}, expected each moving label once"
        f" and in both lists, or as many points and no label in common; only in {moving.name}: {shortened(strange)};"
        f" more than once: {shortened(twice)}"
    )
    raise LandmarkError(msg)
