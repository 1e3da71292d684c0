"""Table 2: distances of the landmarks after registration, beside those between the observers and the paper's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from LungDeepRegLib.metrics import Distribution

from .published import COORDINATES, INTER_OBSERVER, PUBLISHED, Published
from .record import VALIDATION, Record, RunNote
from .rows import common_notes, of_what, paper_note, shown_methods, title_cell, title_of
from .statistics import TRUE_LANDMARKS, distribution, landmark_mm, of_method, true_landmark_mm
from .tables import Column, Table, mean_sd, number, spread


def landmark_table(records: Sequence[Record], note: RunNote) -> Table | None:
    """Table 2: landmark distances within patients beside those between the observers; None without landmarks."""
    names = [name for name in shown_methods(records, note) if landmarks_of(records, name) or missing(note, name)]
    if not any(landmarks_of(records, name) for name in names):
        return None
    lines = [observer_line(records), *(landmark_line(records, note, name) for name in names)]
    truth = any(true_landmark_mm(record) is not None for record in records)
    columns = (
        Column("method", title_cell),
        *(
            Column(f"{entry} [mm]", mean_sd(entry, 3) if entry == "ds" else number(f"{entry}_mean", 3))
            for entry in COORDINATES
        ),
        Column("ds to the truth [mm]", mean_sd("truth_ds", 3)),
        *(Column(f"paper: {entry}", number(f"paper_{entry}", 3)) for entry in COORDINATES),
    )
    notes = [
        *common_notes(records, note),
        "Distance of the landmarks after registration: means over a pair's landmarks and both observers, then mean"
        " over the pairs within patients (ds: \N{PLUS-MINUS SIGN} standard deviation over pairs). dx, dy, dz: absolute"
        " differences along R, A, S; ds: Euclidean.",
        "Inter-observer: mean over both images of each pair. The paper doesn't say which of its axes are x, y and z.",
    ]
    if note.synthetic and any(record.inter_observer for record in records):
        notes.append(
            "The observers are simulated: their distance from one another is **an input here, not a finding**. Their"
            " error adds to every method's" + ("; the column to the truth is free of it." if truth else ".")
        )
    return Table("table2", f"Table 2. Landmark distances, {of_what(note)}", columns, lines, [*notes, paper_note()])


def landmark_line(records: Sequence[Record], note: RunNote, name: str) -> dict[str, Any]:
    """A method's line of Table 2."""
    own = landmarks_of(records, name)
    line: dict[str, Any] = {"method": name, "title": title_of(name, note)}
    for entry in COORDINATES:
        line |= spread(*distribution(own, lambda record, entry=entry: landmark_mm(record, entry)), entry)  # type: ignore[misc]
    line |= spread(*distribution(own, TRUE_LANDMARKS.value), "truth_ds")
    return line | paper_distances(PUBLISHED.get(name))


def observer_line(records: Sequence[Record]) -> dict[str, Any]:
    """How far the observers are from one another; each pair counts once."""
    pairs = {(record.fixed, record.moving): record.inter_observer for record in records if record.inter_observer}
    line: dict[str, Any] = {"method": "inter-observer", "title": "Inter-observer"}
    for entry in COORDINATES:
        values = [found[entry] for found in pairs.values() if found is not None]
        line |= spread(Distribution.of(np.array(values)) if values else None, len(values), entry)
    return line | spread(None, 0, "truth_ds") | paper_distances(INTER_OBSERVER)


def landmarks_of(records: Sequence[Record], name: str) -> list[Record]:
    """A method's pairs within patients with landmarks of any kind."""
    own = of_method(records, name, (VALIDATION,))
    return [record for record in own if landmark_mm(record) is not None or true_landmark_mm(record) is not None]


def missing(note: RunNote, name: str) -> bool:
    """Whether a method couldn't run."""
    return name in note.methods and note.methods[name].missing is not None


def paper_distances(row: Published | None) -> dict[str, float | None]:
    """The paper's landmark distances of a row."""
    found = row.landmarks if row is not None and row.landmarks is not None else (None,) * len(COORDINATES)
    return {f"paper_{entry}": value for entry, value in zip(COORDINATES, found, strict=True)}
