"""The folder of results, from measuring to the last file."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from ..html_report import Picture, ReportContent
from ..html_report import write_report as write_page
from ..landmarks import Landmarks
from ..quality import checks
from ..registration import Clock, Registration
from ..volume import Volume
from .evaluation import Evaluation, evaluate
from .output_files import Findings, is_ours, remarks, warped_landmarks, write_files
from .pair import Pair
from .report import write_report
from .staging import failing_as_output, staged_folder
from .summary import Run, summary, write_summary


def write_result(
    out: str | Path,
    fixed: Volume,
    moving: Volume,
    registration: Registration,
    *,
    fixed_landmarks: Landmarks | None = None,
    moving_landmarks: Landmarks | None = None,
    masks_given: bool = False,
    kind: str = "nii.gz",
    overwrite: bool = False,
    named: bool = False,
) -> dict[str, Any]:
    """Write the results of a registration to a folder, which appears whole or not at all.

    Args:
        out: The folder.
        fixed: The image that stayed.
        moving: The image that was deformed.
        registration: What :func:`registration.register` found.
        fixed_landmarks: Points in the fixed image, for the errors.
        moving_landmarks: Points in the moving image, for the errors; they are taken into the fixed image.
        masks_given: Whether the lung masks were given, for summary.json; otherwise they were found automatically.
        kind: Of the images, one of :data:`output_files.FORMATS`.
        overwrite: Replace an earlier result in ``out``.
        named: Whether report.html names the images, whose names can hold a patient's.

    Returns:
        The content of summary.json.

    Raises:
        OutputError: A place where the results can't be written, or that isn't empty.
        LandmarkError: Landmarks outside their image, or that can't be paired.
    """
    started = time.perf_counter()
    registered = sum(registration.seconds.values())
    pair = pair_of(fixed, moving, registration, fixed_landmarks, moving_landmarks)
    found = Findings(pair, registration.field, registration.warped, registration.covered, registration.alignment.matrix)
    clock = Clock(lambda stage, fraction: None)
    clock.seconds.update(registration.seconds)
    with staged_folder(Path(out), ours=is_ours, overwrite=overwrite) as folder:
        run = run_of(pair, registration, origins(pair, fixed_given=masks_given, moving_given=masks_given))
        return fill_folder(
            folder, found, run, kind, clock, lambda: registered + time.perf_counter() - started, named=named
        )


def pair_of(
    fixed: Volume,
    moving: Volume,
    registration: Registration,
    fixed_landmarks: Landmarks | None = None,
    moving_landmarks: Landmarks | None = None,
) -> Pair:
    """The images as a registration read them, with the lungs that it worked with."""
    return Pair(
        fixed,
        moving,
        registration.fixed_intensity,
        registration.moving_intensity,
        registration.fixed_lungs,
        registration.moving_lungs,
        fixed_landmarks,
        moving_landmarks,
    )


def run_of(
    pair: Pair, registration: Registration, masks: dict[str, str | None], options: dict[str, Any] | None = None
) -> Run:
    """How a registration came about; its times are still to be filled in.

    Args:
        pair: The images.
        registration: What was found.
        masks: For ``fixed`` and ``moving`` whether the mask was ``given``, ``found`` or None.
        options: Settings beside those of the registration.
    """
    return Run(
        fixed=pair.fixed.name,
        moving=pair.moving.name,
        masks=masks,
        intensity=intensities(pair),
        device=registration.device,
        seed=registration.options.seed,
        options={**asdict(registration.options), **(options or {})},
        warnings=registration.warnings,
    )


def origins(pair: Pair, *, fixed_given: bool, moving_given: bool) -> dict[str, str | None]:
    """Where the lung masks came from: ``given``, ``found``, or None where there is none."""
    masks = {"fixed": (pair.fixed_mask, fixed_given), "moving": (pair.moving_mask, moving_given)}
    return {name: None if mask is None else "given" if given else "found" for name, (mask, given) in masks.items()}


def intensities(pair: Pair) -> dict[str, str]:
    """How the values of both images were read, and why."""
    return {"fixed": pair.fixed_intensity.reason, "moving": pair.moving_intensity.reason}


def fill_folder(
    folder: Path,
    found: Findings,
    run: Run,
    kind: str,
    clock: Clock,
    elapsed: Callable[[], float],
    *,
    named: bool = False,
) -> dict[str, Any]:
    """Measure, write all files of a result into an existing folder, and draw the report.

    Args:
        folder: Where to.
        found: The transformation and what comes with it.
        run: How it came about.
        kind: Of the images.
        clock: Has the times of the stages so far; is told the following ones.
        elapsed: The time of everything up to now, in seconds.
        named: Whether report.html names the images.

    Returns:
        The content of summary.json.

    Raises:
        OutputError: A full disk or a place that isn't writable.
    """
    with ThreadPoolExecutor(2) as background:  # at work while figures are measured and drawn
        writing = background.submit(write_files, folder, found, kind)
        background.submit(import_module, "matplotlib.figure")  # half a second; where it is missing drawn() says so
        evaluation, run = measured(found, run, clock)
        pictures, run = drawn(folder, found, evaluation, run, clock, elapsed)
        with clock.stage("write"), failing_as_output(folder):
            writing.result()
    return concluded(folder, found.pair, evaluation, timed(run, clock, elapsed), pictures, named=named)


def measured(found: Findings, run: Run, clock: Clock) -> tuple[Evaluation, Run]:
    """All figures of a result, and the run with what else should be known about it."""
    pair = found.pair
    with clock.stage("evaluate"):
        evaluation = evaluate(
            pair,
            found.phi,
            covered=found.covered,
            alignment=found.alignment,
            inverse=found.inverse,
            backward=found.backward,
        )
        notes = remarks(pair, found.covered)
        if pair.moving_landmarks is not None:
            notes += warped_landmarks(found.phi, pair.moving_landmarks)[1]
    return evaluation, replace(run, warnings=(*run.warnings, *notes))


def drawn(
    folder: Path, found: Findings, evaluation: Evaluation, run: Run, clock: Clock, elapsed: Callable[[], float]
) -> tuple[list[Picture], Run]:
    """Draw report.png; its parts, and the run, which says so where matplotlib is missing."""
    with clock.stage("report"), failing_as_output(folder):
        content = summary(evaluation, timed(run, clock, elapsed))
        try:
            return write_report(folder / "report.png", found.pair, found.phi, content, found.alignment), run
        except ModuleNotFoundError as error:
            return [], replace(run, warnings=(*run.warnings, f"report.png is left out: {error.name} isn't installed"))


def concluded(
    folder: Path, pair: Pair, evaluation: Evaluation, run: Run, pictures: Sequence[Picture], *, named: bool = False
) -> dict[str, Any]:
    """Write summary.json and the report's page with its tables, and return the content of summary.json."""
    content = summary(evaluation, run)
    with failing_as_output(folder):
        write_summary(folder / "summary.json", content)
        write_page(folder, page_content(pair, content, pictures, named=named))
    return content


def page_content(
    pair: Pair, content: dict[str, Any], pictures: Sequence[Picture], *, named: bool = False
) -> ReportContent:
    """What report.html shows: the figures of summary.json, their lights, and the pictures."""
    names = [points.name for points in (pair.fixed_landmarks, pair.moving_landmarks) if points is not None]
    return ReportContent(content, checks(content), pictures=pictures, named=named, private=names)


def timed(run: Run, clock: Clock, elapsed: Callable[[], float]) -> Run:
    """The run with the times up to now."""
    return replace(run, seconds=dict(clock.seconds), seconds_total=elapsed())
