"""Learn2Reg tasks of lungs (LungCT, NLST), by their ``*_dataset.json``.

The format, as the files distributed for LungCT 1.1, NLST and ThoraxCBCT show it: ``training`` lists the images with
what belongs to each (mask, keypoints, landmarks), ``training_paired_images`` and ``registration_val`` list pairs of
them. The pairs for validation are as a rule among the training images too. Points are CSV files without a header, one
``x,y,z`` a line, which count voxels of the NIfTI image from 0 along (i, j, k); line n of the two files of a case mark
the same place.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from LungDeepRegLib.geometry import apply
from LungDeepRegLib.image_io import read_volume
from LungDeepRegLib.landmarks import Landmarks

from .file_headers import image_lattice, image_problems
from .scan import TRAIN, VALIDATION, Cohort, CohortError, Scan, raise_problems
from .text_files import read_json, read_text

IMAGE_NAME = re.compile(r"(?P<patient>.+)_(?P<phase>\d{4})\.nii(\.gz)?", re.IGNORECASE)
NIFTI_NAME = re.compile(r"\.nii(\.gz)?$", re.IGNORECASE)
PAIR_LISTS = ("training_paired_images", "registration_val")
POINT_KINDS = ("landmarks", "keypoints")
"""Experts' landmarks come before keypoints, which a program found. LungCT has them for the validation cases."""


@dataclass
class Listing:
    """What a dataset file says, gathered step by step.

    Attributes:
        path: The dataset file.
        entries: By image file (normalised): where it is named, and its entry.
        pairs: Names of the list, and the image files (fixed, moving).
        problems: What is wrong.
    """

    path: Path
    entries: dict[Path, tuple[str, Mapping[str, Any]]] = field(default_factory=dict)
    pairs: list[tuple[str, Path, Path]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def file(self, name: str) -> Path:
        """A file that the dataset names relative to itself, each always by the same path."""
        return Path(os.path.normpath(self.path.parent / name))


def read_learn2reg(path: str | os.PathLike[str]) -> Cohort:
    """Read a Learn2Reg dataset; its test images are left out.

    Patient and phase come from the file name (``LungCT_0001_0000.nii.gz``: patient ``LungCT_0001``, phase ``0000``).
    Masks and points that the entry of an image doesn't name are looked for in the folders beside it (``masksTr``,
    ``keypointsTr``). Patients of ``registration_val`` are for validation, all others for training.

    Args:
        path: The ``*_dataset.json``; its file names are relative to it.

    Raises:
        CohortError: All that is wrong with the dataset at once, each with list, entry and field.
    """
    listing = Listing(Path(path))
    content = read_json(listing.path)
    if not isinstance(content, dict) or not isinstance(content.get("training"), list | dict):
        msg = f"{path}: found no list 'training', expected a Learn2Reg dataset file"
        raise CohortError(msg)
    list_images(listing, content)
    for name in PAIR_LISTS:
        list_pairs(listing, name, content.get(name))
    scans = list(listed_scans(listing))
    raise_problems(str(path), listing.problems)
    return cohort_of(str(path), listing, scans)


def flat(items: Any) -> list[Any]:
    """A list as it is; of an object of lists (one a modality), all their items."""
    if isinstance(items, dict):
        return [item for part in items.values() for item in (part if isinstance(part, list) else [part])]
    return items if isinstance(items, list) else [] if items is None else [items]


def list_images(listing: Listing, content: Mapping[str, Any]) -> None:
    """Take down the images of ``training``."""
    for number, item in enumerate(flat(content["training"]), 1):
        origin = f"{listing.path.name}, training {number}"
        if not isinstance(item, dict) or not isinstance(item.get("image"), str):
            listing.problems.append(f"{origin}, image: found {item!r:.80}, expected an object that names an image file")
            continue
        file = listing.file(item["image"])
        if file in listing.entries:
            listing.problems.append(f"{origin}, image: found {file} a second time, first in {listing.entries[file][0]}")
        listing.entries.setdefault(file, (origin, item))


def list_pairs(listing: Listing, name: str, items: Any) -> None:
    """Take down the pairs of a list; images that only stand here join the images."""
    for number, item in enumerate(flat(items), 1):
        origin = f"{listing.path.name}, {name} {number}"
        named = item if isinstance(item, dict) else {}
        if not (isinstance(named.get("fixed"), str) and isinstance(named.get("moving"), str)):
            listing.problems.append(f"{origin}: found {item!r:.80}, expected the image files 'fixed' and 'moving'")
            continue
        fixed, moving = listing.file(named["fixed"]), listing.file(named["moving"])
        for file in (fixed, moving):
            listing.entries.setdefault(file, (origin, {}))
        listing.pairs.append((name, fixed, moving))


def listed_scans(listing: Listing) -> Iterator[Scan]:
    """The scans of all images, with the problems of their files taken down."""
    points = {file: point_files(listing, file) for file in listing.entries}
    patients: dict[str, list[Path]] = {}
    for file in listing.entries:
        patients.setdefault(file.name.rsplit("_", 1)[0], []).append(file)
    for file, (origin, item) in listing.entries.items():
        named = IMAGE_NAME.fullmatch(file.name)
        if named is None:
            listing.problems.append(f"{origin}, image: found {file.name}, expected a name as LungCT_0001_0000.nii.gz")
            continue
        mask = mask_file(listing, file, item)
        listing.problems += image_problems(origin, file, mask)
        siblings = patients[named["patient"]]
        # Points of one image alone, or of different kinds, don't correspond.
        kind = next((kind for kind in POINT_KINDS if all(kind in points[sibling] for sibling in siblings)), None)
        yield Scan(
            patient=named["patient"],
            phase=named["phase"],
            origin=origin,
            image=partial(read_volume, file),
            lungs=None if mask is None else partial(read_volume, mask),
            landmarks=None if kind is None else partial(read_points, points[file][kind], file),
            file=file,
        )


def mask_file(listing: Listing, image: Path, item: Mapping[str, Any]) -> Path | None:
    """The mask that an entry names, or the one in the folder beside the image's."""
    if isinstance(item.get("mask"), str):
        return listing.file(item["mask"])
    beside = neighbour(image, "masks")
    return beside if beside.is_file() else None


def point_files(listing: Listing, image: Path) -> dict[str, Path]:
    """The files of points that belong to an image, by kind; those that are named but missing are taken down."""
    origin, item = listing.entries[image]
    found = {}
    for kind in POINT_KINDS:
        beside = neighbour(image, kind).with_name(NIFTI_NAME.sub(".csv", image.name))
        if isinstance(item.get(kind), str):
            # Some of the distributed files name points by the image's extension; the points are in .csv files.
            file = listing.file(NIFTI_NAME.sub(".csv", item[kind]))
            if file.is_file():
                found[kind] = file
            else:
                listing.problems.append(f"{origin}, {kind}: {file}: no such file")
        elif beside.is_file():
            found[kind] = beside
    return found


def neighbour(image: Path, what: str) -> Path:
    """The file of the same name in ``masksTr``, ``keypointsTr``, ... beside ``imagesTr``."""
    return image.parent.with_name(image.parent.name.replace("images", what, 1)) / image.name


def read_points(path: Path, image: Path) -> Landmarks:
    """Points in voxels of a NIfTI image, as landmarks in RAS mm; labels are their line's number among the points.

    Raises:
        CohortError: No points, or a line that isn't three numbers.
    """
    rows = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        try:
            x, y, z = (float(cell) for cell in re.split(r"[,;\s]+", line.strip()))
        except ValueError as error:
            msg = f"{path}, line {number}: found {line!r}, expected three numbers: voxel x,y,z of {image.name}"
            raise CohortError(msg) from error
        rows.append((x, y, z))
    ijk = np.array(rows, dtype=np.float64).reshape(-1, 3)
    labels = tuple(str(number) for number in range(1, len(ijk) + 1))
    return Landmarks(apply(image_lattice(image).ijk_to_ras, ijk), labels, path.name)


def cohort_of(name: str, listing: Listing, scans: list[Scan]) -> Cohort:
    """The cohort: pairs as indices, each once; a split if the dataset names pairs for validation."""
    index = {scan.file: number for number, scan in enumerate(scans)}
    pairs = dict.fromkeys((index[fixed], index[moving]) for _, fixed, moving in listing.pairs)
    validation = {
        scans[index[file]].patient
        for list_name, *files in listing.pairs
        for file in files
        if list_name == "registration_val"
    }
    patients = {scan.patient for scan in scans}
    split = {patient: VALIDATION if patient in validation else TRAIN for patient in sorted(patients)}
    return Cohort(name, tuple(scans), tuple(pairs), split if validation else {})
