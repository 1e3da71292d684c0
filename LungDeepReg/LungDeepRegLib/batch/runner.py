"""A batch from beginning to end, at any moment in a state from which the same command goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ..results.staging import OutputError, failing_as_output, remove_unfinished
from .case import Answer, Case
from .lock import sole_use
from .record import Standing, standing
from .schedulers import Job, Scheduler, Work
from .table import RESERVED, check_tables_place, row_of, write_tables

Answers = dict[int, Answer]
"""What became of the cases, by their number."""
Tell = Callable[[Case, Answer], None]


class CasesFailedError(RuntimeError):
    """Some cases failed; the others are done."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C: everything has stopped, and can go on."""


def run_batch(
    cases: Sequence[Case],
    out: Path,
    settings: Mapping[str, Any],
    work: Work,
    scheduler: Scheduler,
    *,
    overwrite: bool = False,
    tell: Tell = lambda case, answer: None,
    warn: Callable[[str], None] = lambda text: None,
) -> list[Answer]:
    """Register all cases that aren't done yet, each into its own folder, and write the table.

    Args:
        cases: What is to be done; those with a problem fail at once.
        out: The folder for the cases' folders and the table. Missing ones are made.
        settings: All that decides on the results beside the inputs, as JSON has it.
        work: Registers one case.
        scheduler: Who lets it do so.
        overwrite: Replace results of other inputs or settings.
        tell: Told what became of each case, as soon as that is known.
        warn: Told what the user should know beside that.

    Returns:
        What became of each case.

    Raises:
        OutputError: A place that can't be written, or where another batch is at work.
        SchedulerError: Dask is missing or gone.
        Interrupted: Ctrl-C. Cases that were begun have left nothing.
    """
    with failing_as_output(out):
        out.mkdir(parents=True, exist_ok=True)
    with sole_use(out) as doubt:
        if doubt:
            warn(doubt)
        check_tables_place(out)
        for name in RESERVED:
            remove_unfinished(out / name)
        batch = Batch(cases, out, settings, tell, warn)
        begun_before = {number for number, case in enumerate(cases) if remove_unfinished(out / case.folder)}
        try:
            jobs = batch.sorted_out(overwrite=overwrite)
            # What was running when an earlier batch was killed may have been the reason, so it comes last.
            batch.run(sorted(jobs, key=lambda number: number in begun_before), jobs, work, scheduler)
            batch.write()
        except KeyboardInterrupt as error:
            done = sum(not answer.error for answer in batch.answers.values())
            msg = f"interrupted; {done} of {len(cases)} cases are done, and the same command goes on from there"
            raise Interrupted(msg) from error
        finally:
            for case in cases:
                remove_unfinished(out / case.folder)
    return [batch.answers[number] for number in range(len(cases))]


class Batch:
    """The cases of a batch with what became of them so far, which the table on disk shows meanwhile."""

    def __init__(
        self, cases: Sequence[Case], out: Path, settings: Mapping[str, Any], tell: Tell, warn: Callable[[str], None]
    ) -> None:
        self.cases, self.out, self.settings, self.tell, self.warn = cases, out, settings, tell, warn
        self.answers: Answers = {}
        self.warned = False

    def sorted_out(self, *, overwrite: bool) -> dict[int, Job]:
        """The cases that are still to be done, by their number; the others are answered."""
        jobs = {}
        for number, case in enumerate(self.cases):
            answer, job = self.looked_at(case, overwrite=overwrite)
            if job is not None:
                jobs[number] = job
            if answer is not None:
                self.answers[number] = answer
                self.tell(case, answer)
        self.write()
        return jobs

    def looked_at(self, case: Case, *, overwrite: bool) -> tuple[Answer | None, Job | None]:
        """What is known about a case beforehand, or what is to be done."""
        if case.problem:
            return Answer(error=case.problem), None
        folder = (self.out / case.folder).absolute()
        try:
            how_far, found = standing(folder, case, self.settings)
        except OSError as error:
            return Answer(error=f"{case.origin}: {unreadable(error)}"), None
        if how_far is Standing.DONE:
            return kept(folder), None
        if how_far is Standing.OTHER and not overwrite:
            msg = f"{case.origin}: {folder}: {found}; use --overwrite to replace it, or another --out"
            return Answer(error=msg), None
        return None, Job(case, folder, overwrite=folder.exists())

    def run(self, order: Sequence[int], jobs: Mapping[int, Job], work: Work, scheduler: Scheduler) -> None:
        """Let cases be registered, in an order of their numbers."""
        numbers = {id(jobs[number]): number for number in order}
        if not order:
            return
        once = partial(done_once, work, self.settings)
        with closing(scheduler([jobs[number] for number in order], once)) as answers:
            for job, answer in answers:
                remove_unfinished(job.folder)
                if not answer.error and not listed(job.folder):
                    error = f"{job.folder}: its worker says that it is done, but it isn't there; workers must see --out"
                    answer = Answer(error=f"{error} by the same path", seconds=answer.seconds)
                if answer.error and not answer.error.startswith(job.case.origin):
                    answer = replace(answer, error=f"{job.case.origin}: {answer.error}")
                self.answers[numbers[id(job)]] = answer
                self.write_meanwhile()
                self.tell(job.case, answer)

    def write_meanwhile(self) -> None:
        """The table, if it can be replaced: on Windows it can't while a spreadsheet shows it; the cases still go on."""
        try:
            self.write()
        except OutputError as error:
            if not self.warned:
                self.warn(f"{error}; it is tried again after each case")
            self.warned = True

    def write(self) -> None:
        """The table."""
        write_tables(self.out, [row_of(case, self.answers.get(number)) for number, case in enumerate(self.cases)])


def done_once(work: Work, settings: Mapping[str, Any], job: Job, threads: int | None) -> Answer:
    """Let a case be registered, unless a worker did so and died before it could say so; begun ones are cleared away."""
    remove_unfinished(job.folder)
    try:
        how_far, _ = standing(job.folder, job.case, settings)
    except OSError as error:
        return Answer(error=unreadable(error))
    return replace(kept(job.folder), earlier=False) if how_far is Standing.DONE else work(job, threads)


def unreadable(error: OSError) -> str:
    """Why a case can't be compared with what is in its folder."""
    return f"{error.filename}: can't be read ({error.strerror or error})"


def listed(folder: Path) -> bool:
    """Whether a folder is there: network drives remember for a while that it wasn't, but list anew what there is."""
    return any(path.name == folder.name for path in folder.parent.iterdir())


def kept(folder: Path) -> Answer:
    """The answer that a finished case's folder holds."""
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return Answer(summary=summary, seconds=summary["seconds_total"], earlier=True)
