"""A benchmark from its options to its tables; what benchmark.py and evaluate.py have in common."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from LungDeepRegLib.batch.lock import sole_use
from LungDeepRegLib.checkpoint import CheckpointError, load_checkpoint
from LungDeepRegLib.commands.process import interrupt_on_termination
from LungDeepRegLib.displacement_field import DisplacementField
from LungDeepRegLib.results.pair import Pair
from LungDeepRegLib.results.staging import OutputError, failing_as_output

from ..errors import TrainingError
from ..methods import METHODS, Method
from .inputs import Inputs
from .progress import Progress
from .record import FIELDS, RECORDS, RUN, RecordError, RunNote, read_field, read_records, read_run, write_run
from .runner import open_jobs, run_jobs
from .task import OWN_ROWS, PREPARED, Task, note_of, setting_of, task_of, with_reasons

OK, BAD_INPUT, CASES_FAILED, INTERRUPTED = 0, 3, 6, 130
EXPLAINED = (TrainingError, OutputError, CheckpointError)
"""Errors whose message says all that a user needs; of others the traceback helps more."""
Prepared = tuple[Namespace, dict[str, Method | None]]
SAME_RUN = ("cohort", "one_pair", "synthetic", "protocol", "threads", "seed", "combinations", "drawn")
"""What runs have in common whose records stand in one table."""


@dataclass(frozen=True)
class Kept:
    """The :class:`report.FieldsReader` of a benchmark's folder.

    Attributes:
        out: The folder.
        inputs: The scans as they were made ready.
    """

    out: Path
    inputs: Inputs

    def images(self, fixed: str, moving: str) -> Pair:
        """The images of a pair with their lungs, as they were made ready."""
        return self.inputs.kept_pair(fixed, moving)

    def phi(self, method: str, fixed: str, moving: str) -> DisplacementField | None:
        """The map that a method found; None if it wasn't kept."""
        return read_field(self.out, method, fixed, moving)


def explained(prepare: Callable[[], Prepared], words: list[str], drawn: int) -> int:
    """:func:`benchmark` with errors in words on standard error.

    Args:
        prepare: Gives the options, see :func:`options.parser_of`, and the tables' rows by name: their methods, None
            for those that the runner makes itself.
        words: The command line.
        drawn: How many combinations between patients all methods do.

    Returns:
        The exit code: 6 if registrations failed, 3 for bad input, 130 after Ctrl-C.
    """
    interrupt_on_termination()
    try:
        return benchmark(*prepare(), words, drawn)
    except EXPLAINED as error:
        sys.stderr.write(f"error: {error}\n")
        return BAD_INPUT
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the same command goes on, and --tables-only shows what is done\n")
        return INTERRUPTED


def benchmark(chosen: Namespace, methods: Mapping[str, Method | None], words: list[str], drawn: int) -> int:
    """Register, measure and report, or report alone.

    Args:
        chosen: The options, see :func:`options.parser_of`.
        methods: Rows of the tables; None for those that the runner makes itself.
        words: The command line.
        drawn: How many combinations between patients all methods do.

    Returns:
        The exit code: 6 if registrations failed, else 0.

    Raises:
        TrainingError: Inputs, options or records that can't be used.
        OutputError: Results can't be written.
        CheckpointError: Weights that can't be used.
    """
    out = chosen.out
    if chosen.tables_only:
        report(out)
        return OK
    load_checkpoint(chosen.weights)  # so that weights that can't be used are told once, before anything is made
    task = task_of(chosen, drawn)
    with failing_as_output(out):
        out.mkdir(parents=True, exist_ok=True)
    with sole_use(out) as doubt:
        if doubt:
            sys.stderr.write(f"warning: {doubt}\n")
        failed = run(chosen, task, methods, words)
        report(out)
    return CASES_FAILED if failed else OK


def run(chosen: Namespace, task: Task, methods: Mapping[str, Method | None], words: list[str]) -> int:
    """Register and measure what isn't there yet; how many registrations failed."""
    out = chosen.out
    remove_unfinished(out)
    setting = setting_of(chosen, task)
    note = with_earlier(note_of(chosen, task, setting, methods, words), out)
    jobs = open_jobs(methods, task.chosen, setting)
    write_run(out, note)
    progress = Progress(sum(len(job.cases) for job in jobs))
    try:
        run_jobs(jobs, chosen.workers, progress)
    finally:
        progress.close()
        write_run(out, with_reasons(note, progress.absent))
    return progress.failed


def report(out: Path) -> None:
    """Make tables and pictures of what is in a benchmark's folder, and say which.

    Raises:
        RecordError: There is nothing, or something that can't be used.
        OutputError: They can't be written.
    """
    from .report import write_report  # here, since methods' processes import this file too, and draw nothing

    note = read_run(out)
    written = write_report(read_records(out), note, Kept(out, Inputs(out / PREPARED, note.protocol)), out)
    sys.stdout.write("".join(f"{path}\n" for path in written))


def with_earlier(note: RunNote, out: Path) -> RunNote:
    """The note, with the rows that earlier runs in this folder have made beside its own.

    Raises:
        RecordError: An earlier run of another kind.
    """
    if not (out / RUN).exists():
        return note
    earlier = read_run(out)
    unlike = [name for name in SAME_RUN if getattr(earlier, name) != getattr(note, name)]
    if unlike:
        differing = ", ".join(f"{name} {getattr(earlier, name)!r}" for name in unlike)
        wanted = ", ".join(f"{getattr(note, name)!r}" for name in unlike)
        msg = f"{out / RUN}: found a run with {differing}, expected {wanted}; choose another --out"
        raise RecordError(msg)
    both, order = {**earlier.methods, **note.methods}, [*OWN_ROWS, *METHODS]
    known = [name for name in order if name in both]
    return replace(note, methods={name: both[name] for name in [*known, *both]})


def remove_unfinished(out: Path) -> None:
    """Remove half-written files that an earlier run left when it was killed."""
    for folder in (RECORDS, FIELDS, PREPARED):
        for path in (out / folder).rglob("*"):
            if path.name.startswith(".unfinished.") or path.name.endswith(".unfinished.npz"):
                path.unlink(missing_ok=True)
