"""``batch``: all cases of a manifest, each as ``register`` does it."""

from __future__ import annotations

import gc
import hashlib
import time
import traceback
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ..batch.case import Answer, Case
from ..batch.manifest import read_manifest
from ..batch.record import fingerprints, write_record
from ..batch.runner import CasesFailedError, run_batch
from ..batch.schedulers import Job, LocalWorkers, RemoteWorkers, Scheduler, one_by_one
from ..batch.table import CSV_TABLE
from ..checkpoint import BUNDLED
from ..registration import Clock
from ..results.output_files import is_ours
from ..results.staging import OutputError, failing_as_output, staged_folder
from ..results.summary import NOTICE, versions
from .console import complain, say, shown
from .errors import explained
from .inputs import check_untouched, given_paths
from .process import forget_peak_memory
from .register import fill, options_of, weights_of

SETTINGS = (
    "modality",
    "alignment",
    "similarity",
    "refine",
    "linear_branch",
    "weights",
    "device",
    "seed",
    "voxel_budget",
    "format",
    "inverse",
    "inverse_consistency",
    "names",
)


def run(args: Namespace) -> None:
    """Register all cases of a manifest that aren't done yet.

    Raises:
        FileError: A manifest that can't be read at all.
        CasesFailedError: Some cases failed; the table says why.
        Others: As :func:`batch.runner.run_batch`.
    """
    cases = read_manifest(args.manifest)
    out = Path(args.out)
    if Path(args.manifest).resolve().parent == out.resolve() and Path(args.manifest).name == CSV_TABLE:
        msg = f"{args.manifest}: this manifest would be replaced by the table; choose another folder for --out"
        raise OutputError(msg)
    raise_failures(cases, register_all(cases, out, args))


def register_all(cases: Sequence[Case], out: Path, args: Namespace) -> list[Answer]:
    """Register cases with the settings of a command line, and say what becomes of each."""
    settings = Namespace(**{name: getattr(args, name) for name in SETTINGS}, version=version())
    if settings.weights not in ("bundled", "none"):
        settings.weights = str(Path(settings.weights).absolute())
    made_with = identity(settings)
    told = Told(len(cases), quiet=args.quiet, debug=args.debug)
    answers = run_batch(
        cases, out, made_with, partial(run_case, settings, made_with), scheduler_of(args),
        overwrite=args.overwrite, tell=told, warn=lambda text: complain(f"warning: {text}"),
    )  # fmt: skip
    done = sum(not answer.error for answer in answers)
    say(f"{done} of {len(cases)} cases are done; see {out / CSV_TABLE}")
    say(NOTICE)
    return answers


def raise_failures(cases: Sequence[Case], answers: Sequence[Answer]) -> None:
    """Raise :class:`CasesFailedError`, naming them, where cases failed."""
    failed = [case.name for case, answer in zip(cases, answers, strict=True) if answer.error]
    if failed:
        msg = f"{len(failed)} of {len(cases)} cases failed: {', '.join(failed)}"
        raise CasesFailedError(msg)


def version() -> str | None:
    """Of this program."""
    return versions()[__name__.partition(".")[0]]


def scheduler_of(args: Namespace) -> Scheduler:
    """Who registers the cases."""
    if args.scheduler:
        return RemoteWorkers(args.scheduler)
    return one_by_one if args.workers == 1 else LocalWorkers(args.workers)


def identity(settings: Namespace) -> dict[str, Any]:
    """All that decides on a result beside its inputs; where it is computed doesn't.

    Raises:
        CheckpointError: Weights that can't be used.
    """
    weights_of(settings)
    path = BUNDLED if settings.weights == "bundled" else settings.weights
    weights = "none" if settings.weights == "none" else hashlib.sha256(Path(path).read_bytes()).hexdigest()
    options = {name: value for name, value in asdict(options_of(settings)).items() if name != "device"}
    others = {
        name: getattr(settings, name) for name in ("format", "inverse", "inverse_consistency", "names", "version")
    }
    return {**options, **others, "weights": weights}


def run_case(settings: Namespace, made_with: dict[str, Any], job: Job, threads: int | None) -> Answer:
    """Register a case into its folder, by the same code as ``register``.

    Args:
        settings: The options of the command line that decide on the result.
        made_with: The same for the record, see :func:`identity`.
        job: The case.
        threads: For torch; None leaves them as they are.

    Returns:
        What became of it; no exception is raised but KeyboardInterrupt.
    """
    started = time.time()
    forget_peak_memory()
    try:
        if threads is not None:
            torch.set_num_threads(threads)
        content = registered_case(settings, made_with, job, started)
    except Exception as error:
        return Answer(error=explained(error), seconds=time.time() - started, trace=traceback.format_exc())
    finally:
        gc.collect()  # the report's figures keep each other, and images, until they are looked for
    return Answer(summary=content, seconds=content["seconds_total"])


def registered_case(settings: Namespace, made_with: dict[str, Any], job: Job, started: float) -> dict[str, Any]:
    """The content of summary.json of a case that is now in its folder."""
    if settings.version != version():
        msg = f"found LungDeepReg {version()} on the worker, expected {settings.version}"
        raise OutputError(msg)
    args = Namespace(**vars(settings), **job.case.inputs, out=str(job.folder), overwrite=job.overwrite, started=started)
    check_untouched(job.folder, given_paths(args))
    with staged_folder(job.folder, ours=is_ours, overwrite=job.overwrite) as folder:
        inputs = fingerprints(job.case)
        content = fill(folder, args, Clock(partial(stopped_without, folder)))
        with failing_as_output(job.folder):
            write_record(folder, job.case, inputs, made_with)
    return content


def stopped_without(folder: Path, stage: str, fraction: float) -> None:
    """Stop a registration whose folder has been removed, since its batch has ended or begun it anew elsewhere."""
    if not folder.is_dir():
        msg = f"{folder}: removed meanwhile, since the batch has ended; this case is stopped"
        raise OutputError(msg)


class Told:
    """Says a line for each case."""

    def __init__(self, count: int, *, quiet: bool, debug: bool) -> None:
        self.count, self.quiet, self.debug = count, quiet, debug
        self.told = 0

    def __call__(self, case: Case, answer: Answer) -> None:
        """Say what became of a case."""
        self.told += 1
        place = f"[{self.told}/{self.count}] {case.name}"
        if answer.error:
            if self.debug and answer.trace:
                complain(answer.trace)
            complain(f"{place}: failed: {answer.error}")
        elif not self.quiet and answer.summary is not None:
            when = "earlier" if answer.earlier else f"in {shown(answer.seconds, 1)} s"
            dice = " -> ".join(shown(answer.summary[f"dice_{step}"], 3) for step in ("before", "after"))
            say(f"{place}: done {when}, Dice {dice}")
