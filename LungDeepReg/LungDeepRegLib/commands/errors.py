"""Exit codes, and which error means which."""

from __future__ import annotations

from ..batch.runner import CasesFailedError
from ..batch.schedulers import SchedulerError
from ..checkpoint import CheckpointError
from ..displacement_field import FieldError
from ..geometry import GeometryError
from ..image_io import FileError
from ..landmarks import LandmarkError
from ..registration import RegistrationError
from ..results.staging import OutputError
from ..volume import VolumeError

OK, BUG, USAGE, BAD_INPUT, FAILED, NOT_WRITTEN, CASES_FAILED, INTERRUPTED = 0, 1, 2, 3, 4, 5, 6, 130
MEANINGS = {
    OK: "done",
    BUG: "an error of the program itself; please report it with the output of --debug",
    USAGE: "unknown or missing options",
    BAD_INPUT: "an input that can't be used: missing, damaged, of another kind, or of another grid",
    FAILED: "the registration failed: no overlap, no such device, no Dask, not enough memory",
    NOT_WRITTEN: "the output can't be written: no rights, disk full, or already there",
    CASES_FAILED: "some cases of a batch or series failed; the others are done",
    INTERRUPTED: "interrupted (Ctrl-C); nothing half-written is left",
}


class InputError(ValueError):
    """Inputs that can't be used together."""


def exit_code(error: BaseException) -> int:
    """The exit code of what went wrong."""
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, OutputError):
        return NOT_WRITTEN
    inputs = (InputError, FileError, VolumeError, GeometryError, FieldError, LandmarkError, CheckpointError)
    if isinstance(error, inputs):
        return BAD_INPUT
    if isinstance(error, CasesFailedError):
        return CASES_FAILED
    return FAILED if isinstance(error, RegistrationError | SchedulerError) or out_of_memory(error) else BUG


def out_of_memory(error: BaseException) -> bool:
    """Whether there wasn't enough memory (torch says so by a RuntimeError)."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "memory" in str(error))


def explained(error: BaseException) -> str:
    """What went wrong, for the user."""
    code = exit_code(error)
    if code == INTERRUPTED:
        return str(error) or "interrupted; nothing was written"
    if out_of_memory(error):
        return "not enough memory; use a smaller --voxel-budget or smaller images"
    if code == BUG:
        return f"an error of the program itself, {type(error).__name__}: {error} (--debug shows where)"
    return str(error)
