"""Which reader a source of scans needs."""

from __future__ import annotations

import os
from pathlib import Path

from .dirlab import read_dirlab
from .learn2reg import read_learn2reg
from .manifest import read_manifest
from .scan import Cohort, CohortError


def read_cohort(path: str | os.PathLike[str]) -> Cohort:
    """Read scans from any source: a DIR-Lab folder, a Learn2Reg ``*_dataset.json``, or a manifest (CSV or JSON).

    Raises:
        CohortError: Nothing there, no such source, or whatever the source's reader finds wrong.
    """
    path = Path(path)
    accepted = "a folder of DIR-Lab cases, a Learn2Reg *_dataset.json, or a manifest (.csv or .json)"
    if not path.exists():
        msg = f"{path}: no such file or folder, expected {accepted}"
        raise CohortError(msg)
    if path.is_dir():
        return read_dirlab(path)
    if path.name.lower().endswith("_dataset.json"):
        return read_learn2reg(path)
    if path.suffix.lower() in (".csv", ".json"):
        return read_manifest(path)
    msg = f"{path}: found a file of another kind, expected {accepted}"
    raise CohortError(msg)
