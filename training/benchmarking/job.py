"""A method's cases in a process of its own, one after the other: every method begins afresh, and can end badly."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from LungDeepRegLib.commands.process import forget_peak_memory
from LungDeepRegLib.displacement_field import DisplacementField
from LungDeepRegLib.results.staging import OutputError

from ..methods import AlignedPair, Method, MethodError, aligned_pair
from ..methods.ours import Ours
from .cases import Case
from .inputs import Inputs, ReadyScan
from .measure import judged_lattice, measured, whole_map
from .record import UNREGISTERED, Record, digest, write_field, write_record

CUDA = "cuda"
BEGUN, DONE, MISSING, STOP = "begun", "done", "missing", "stop"
"""What a job tells: a case begins, a case has its record, the method can't run here, nothing can be written."""
MEASURING = 1
"""Raised whenever something is measured in another way, so that records don't mix."""


@dataclass(frozen=True)
class Setting:
    """What all jobs of a run have in common.

    Attributes:
        out: The benchmark's folder.
        inputs: Makes scans ready.
        threads: Of each method.
        cuda: Whether our methods are timed on a GPU too.
    """

    out: Path
    inputs: Inputs
    threads: int
    cuda: bool = False


@dataclass(frozen=True)
class Job:
    """Cases for one method.

    Attributes:
        name: Of the row.
        method: None for the rows ``unregistered`` and ``affine``.
        cases: What is to be registered.
        setting: See :class:`Setting`.
    """

    name: str
    method: Method | None
    cases: tuple[Case, ...]
    setting: Setting


def blank_record(name: str, method: Method | None, case: Case, setting: Setting) -> Record:
    """The record of a case before anything is done: what it is, and digests of all that decides its result."""
    settings = {} if method is None else method.settings
    scans = case.fixed.scan, case.moving.scan
    return Record(
        method=name,
        fixed=case.fixed.name,
        moving=case.moving.name,
        fixed_label=scans[0].label,
        moving_label=scans[1].label,
        within_patient=case.within_patient,
        group=case.group,
        threads=setting.threads,
        inputs=digest([setting.inputs.protocol, case.fixed.digest, case.moving.digest]),
        settings=digest([MEASURING, settings, setting.threads, setting.cuda]),
    )


def work(job: Job, parent: Connection) -> None:
    """Do a job and tell the parent process; with the parent gone it ends."""
    torch.set_num_threads(job.setting.threads)
    try:
        if job.method is not None:
            job.method.ready()
    except MethodError as error:
        parent.send((MISSING, str(error)))
        return
    for number, case in enumerate(job.cases):
        try:
            parent.send((BEGUN, number))
            record = kept_result(job, case)
            parent.send((DONE, record.error))
        except OutputError as error:
            parent.send((STOP, str(error)))
            return
        except BrokenPipeError:
            return


def kept_result(job: Job, case: Case) -> Record:
    """Register and measure a case and write its record; an error of any kind is a record too.

    Raises:
        OutputError: The record can't be written.
    """
    blank = blank_record(job.name, job.method, case, job.setting)
    try:
        figures, phi = result(job, case)
        record = replace(blank, **figures)
    except OutputError:
        raise
    except Exception as error:
        record, phi = replace(blank, error=f"{type(error).__name__}: {error}"), None
    if case.within_patient and phi is not None and job.name != UNREGISTERED:
        write_field(job.setting.out, record, phi)
    write_record(job.setting.out, record)
    return record


def result(job: Job, case: Case) -> tuple[dict[str, Any], DisplacementField]:
    """A case's figures, by the names of :class:`Record`, and its map."""
    inputs = job.setting.inputs
    fixed, moving = inputs.scan(case.fixed), inputs.scan(case.moving)
    matrix, v, figures = np.eye(4), None, {}
    if job.name != UNREGISTERED:
        alignment = inputs.alignment(case)
        matrix, figures = alignment.matrix, {"alignment_seconds": alignment.seconds, "seconds": alignment.seconds}
    if job.method is not None:
        v, times = timed(job.method, pair_for_methods(fixed, moving, matrix), job.setting)
        figures |= times
    phi = whole_map(matrix, v, judged_lattice(fixed))
    return figures | measured(fixed, moving, phi, matrix, within_patient=case.within_patient), phi


def pair_for_methods(fixed: ReadyScan, moving: ReadyScan, matrix: np.ndarray) -> AlignedPair:
    """The pair as every method gets it."""
    return aligned_pair(fixed.image, moving.image, fixed.lungs, moving.lungs, matrix, fixed.modality)


def timed(method: Method, pair: AlignedPair, setting: Setting) -> tuple[DisplacementField, dict[str, Any]]:
    """What a method finds on the CPU, with its time and memory, and its time on a GPU where that is asked for."""
    forget_peak_memory()
    v, seconds = with_time(lambda: method(pair, setting.threads))
    times = {"seconds": seconds, "peak_memory_mb": peak_memory_mb()}
    if setting.cuda and isinstance(method, Ours):
        method(pair, setting.threads, CUDA)  # the first time a GPU loads its programs
        times["gpu_seconds"] = with_time(lambda: method(pair, setting.threads, CUDA))[1]
    return v, times


def with_time(run: Callable[[], DisplacementField]) -> tuple[DisplacementField, float]:
    """What a call returns, and how many seconds it took; its result is on the CPU, so nothing is left to wait for."""
    started = time.perf_counter()
    found = run()
    return found, time.perf_counter() - started


def peak_memory_mb() -> float | None:
    """Most resident memory of this process since :func:`forget_peak_memory`; None where the system doesn't tell."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    kilobytes = next((line.split()[1] for line in lines if line.startswith("VmHWM:")), None)
    return None if kilobytes is None else int(kilobytes) / 1024
