"""DIR-Lab 4DCT and COPDgene as they are distributed: raw images without a header, landmarks as text.

Images are int16, little-endian, i fastest; stored values are HU + 1024. Landmarks are voxels ``x y z``, counted from 1
along (i, j, k) of the same file, one point a line; line n of the two phases of a case marks the same place. Sizes,
spacings and directions: :mod:`dirlab_cases`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from LungDeepRegLib.image_io import read_landmarks
from LungDeepRegLib.volume import Volume

from .dirlab_cases import BYTES_PER_VOXEL, COPDGENE, FOUR_D_CT, DirLabCase
from .scan import Cohort, CohortError, Scan, raise_problems

STORED_OFFSET_HU = 1024
AIR_HU = -1024

# case1_T00_s.img, case2_T00-ssm.img, case6_T00.img; Case1_300_T00_xyz.txt, case6_dirLab300_T00_xyz.txt
FOUR_D_CT_IMAGE = re.compile(r"case(?P<case>\d+)_(?P<phase>T\d0)(_s|-ssm)?\.img", re.IGNORECASE)
FOUR_D_CT_POINTS = re.compile(r"case(?P<case>\d+)_(dirlab)?300_(?P<phase>T\d0)_xyz\.txt", re.IGNORECASE)
# copd1_iBHCT.img; copd1_300_iBH_xyz_r1.txt
COPDGENE_IMAGE = re.compile(r"copd(?P<case>\d+)_(?P<phase>[ie])BHCT\.img", re.IGNORECASE)
COPDGENE_POINTS = re.compile(r"copd(?P<case>\d+)_300_(?P<phase>[ie])BH_xyz_r1\.txt", re.IGNORECASE)
PHASES = {"i": "inhale", "e": "exhale"}
EXHALE_INHALE = (("T50", "T00"), ("exhale", "inhale"))

Files = dict[tuple[str, int, str], Path]
"""Files by kind of case (``case`` or ``copd``), number and phase."""


def read_dirlab(folder: str | os.PathLike[str]) -> Cohort:
    """Find the DIR-Lab cases below a folder: 4DCT (``case1_T00_s.img``, ...) and COPDgene (``copd1_iBHCT.img``, ...).

    Patients are ``case1`` to ``case10`` and ``copd1`` to ``copd10``; phases ``T00`` (end of inhalation) to ``T90`` with
    ``T50`` the end of exhalation, and ``inhale`` and ``exhale``. Pairs are exhale (fixed) and inhale (moving), as in
    all of this project; DIR-Lab's own tables go from T00 to T50. The 300 landmarks belong to these two phases; the 75
    of the phases between (``Sampled4D``) are other points and aren't read. There are no masks.

    Raises:
        CohortError: No case, an unknown case, two files for one phase, or a file of the wrong size; all at once.
    """
    folder = Path(folder)
    problems: list[str] = []
    images = found_files(folder, ((FOUR_D_CT_IMAGE, "case"), (COPDGENE_IMAGE, "copd")), problems)
    points = found_files(folder, ((FOUR_D_CT_POINTS, "case"), (COPDGENE_POINTS, "copd")), problems)
    if not images and not problems:
        msg = (
            f"{folder}: found no DIR-Lab image, expected case1_T00_s.img, copd1_iBHCT.img or the like in it or in"
            " folders below (Learn2Reg is read by its *_dataset.json, other files by a manifest)"
        )
        raise CohortError(msg)
    scans = list(dirlab_scans(images, points, problems))
    raise_problems(str(folder), problems)
    index = {(scan.patient, scan.phase): number for number, scan in enumerate(scans)}
    patients = dict.fromkeys(scan.patient for scan in scans)
    pairs = tuple(
        (index[patient, fixed], index[patient, moving])
        for patient in patients
        for fixed, moving in EXHALE_INHALE
        if (patient, fixed) in index and (patient, moving) in index
    )
    return Cohort(str(folder), tuple(scans), pairs)


def found_files(folder: Path, patterns: tuple[tuple[re.Pattern[str], str], ...], problems: list[str]) -> Files:
    """The files whose names fit, sorted by case and phase; a second file for one phase is a problem."""
    found: Files = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")):
        for pattern, kind in patterns:
            named = pattern.fullmatch(path.name)
            if named is None:
                continue
            phase = PHASES.get(named["phase"].lower(), named["phase"].upper())
            first = found.setdefault((kind, int(named["case"]), phase), path)
            if first != path:
                problems.append(f"found {first} and {path}, expected one file for {kind}{named['case']}, {phase}")
    return dict(sorted(found.items()))


def dirlab_scans(images: Files, points: Files, problems: list[str]) -> Iterator[Scan]:
    """The scans of all images; unknown cases and files of the wrong size are problems."""
    tables: Mapping[str, Mapping[int, DirLabCase]] = {"case": FOUR_D_CT, "copd": COPDGENE}
    for (kind, number, phase), path in images.items():
        case = tables[kind].get(number)
        if case is None:
            problems.append(f"{path}: found case {number}, expected 1 to {max(tables[kind])}")
            continue
        wrong_size = size_problem(path, case)
        if wrong_size:
            problems.append(wrong_size)
        landmarks = points.get((kind, number, phase))
        yield Scan(
            patient=f"{kind}{number}",
            phase=phase,
            origin=f"DIR-Lab {kind}{number}, {phase}",
            image=partial(read_raw_image, path, case),
            landmarks=None if landmarks is None else partial(read_landmarks, landmarks, case.lattice),
            file=path,
        )


def size_problem(path: Path, case: DirLabCase) -> str | None:
    """What is wrong with the size of an image file, or None."""
    found = path.stat().st_size
    if found == case.file_bytes:
        return None
    k, j, i = case.shape
    return (
        f"{path}: found {found} bytes, expected {case.file_bytes}: {i} x {j} x {k} voxels (i, j, k) of"
        f" {BYTES_PER_VOXEL} bytes"
    )


def read_raw_image(path: Path, case: DirLabCase) -> Volume:
    """The image in HU, int16; what is stored below air (-2000 outside the scanner's field of view) becomes air.

    Raises:
        CohortError: A file of the wrong size.
        OSError: A file that can't be read.
    """
    wrong_size = size_problem(path, case)
    if wrong_size:
        raise CohortError(wrong_size)
    stored = np.fromfile(path, dtype="<i2").astype(np.int16, copy=False)
    hu = np.maximum(stored, AIR_HU + STORED_OFFSET_HU) - np.int16(STORED_OFFSET_HU)
    return Volume(hu.reshape(case.shape), case.lattice.ijk_to_ras, path.name)
