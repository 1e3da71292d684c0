"""What is said to whoever asks the worker for something while it does something else."""

import slicer
from slicer.i18n import tr as _


class Busy(RuntimeError):
    """Another task is running, of whichever panel."""


def tellBusy(busy: Busy) -> None:
    """Tell the user that something else has to end first; no panel keeps it, since it is true for a while only."""
    slicer.util.errorDisplay(str(busy), windowTitle=_("LungDeepReg"))
