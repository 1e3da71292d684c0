"""Work for batches that takes no registration: what it does to a case stands in the case's fixed image, a text file.

It is here, in a file that worker processes can import, and not in the tests.
"""

import os
import signal
import time
from pathlib import Path

from LungDeepRegLib.batch.case import FILES, SERIES, Answer, Case, folder_name
from LungDeepRegLib.batch.record import fingerprints, write_record
from LungDeepRegLib.batch.table import RESERVED
from LungDeepRegLib.results.staging import staged_folder
from LungDeepRegLib.results.summary import write_summary

SETTINGS = {"refine": "fast"}
PATIENCE_SECONDS = 60


def case_in(folder: Path, name: str, deed: str) -> Case:
    """A case whose work does a deed: ``write``, ``fail``, ``die``, ``wait`` (for a file) or ``begin``."""
    fixed, moving = folder / f"{name}_fixed.txt", folder / f"{name}_moving.txt"
    fixed.write_text(deed, encoding="utf-8")
    moving.write_text(name, encoding="utf-8")
    inputs = {**dict.fromkeys((*FILES, *SERIES)), "fixed": str(fixed), "moving": str(moving)}
    return Case(name, folder_name(name, RESERVED), f"manifest.csv, line {name}", inputs)


def work(job, threads):
    """Do the deed of a case, and leave who did it, and how often it was begun."""
    fixed = Path(job.case.inputs["fixed"])
    deed, begun = fixed.read_text(encoding="utf-8"), fixed.with_suffix(".begun")
    with begun.open("a") as file:
        file.write(f"{os.getpid()}\n")
    if deed == "fail":
        return Answer(error="this one can't be done", seconds=0.1)
    with staged_folder(job.folder, ours=lambda name: True, overwrite=job.overwrite) as folder:
        (folder / "result.txt").write_text(f"{threads} {os.environ.get('OMP_NUM_THREADS')}")
        if deed == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        limit = time.monotonic() + PATIENCE_SECONDS
        while deed == "wait" and not fixed.with_suffix(".go").exists() and time.monotonic() < limit:
            time.sleep(0.02)
        content = {"seconds_total": 1.5, "dice_before": 0.5, "dice_after": 0.9, "warnings": ["a", "b"]}
        write_summary(folder / "summary.json", content)
        write_record(folder, job.case, fingerprints(job.case), SETTINGS)
    return Answer(summary=content, seconds=1.5)


def begun(folder: Path, name: str) -> list[int]:
    """The processes that began a case, one entry each time."""
    path = folder / f"{name}_fixed.begun"
    return [int(line) for line in path.read_text().split()] if path.exists() else []
