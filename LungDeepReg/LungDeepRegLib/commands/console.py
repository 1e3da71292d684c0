"""What the commands say: words, progress, and the table at the end."""

from __future__ import annotations

import sys
from typing import Any, Protocol

from ..results.summary import NOTICE

STAGES = {
    "read": "Reading",
    "phantom": "Making the phantom",
    "prepare": "Preparing",
    "align": "Aligning",
    "network": "Network",
    "refine": "Refining",
    "warp": "Warping",
    "backward": "Registering backward",
    "invert": "Inverting",
    "evaluate": "Measuring",
    "write": "Writing",
    "report": "Drawing the report",
}


def say(text: str = "") -> None:
    """A line on stdout, at once, also where that is a file that somebody watches."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def complain(text: str) -> None:
    """A line on stderr."""
    sys.stderr.write(f"{text}\n")


class Progress(Protocol):
    """Told the stage and the fraction of it that is done."""

    def __call__(self, stage: str, fraction: float) -> None:
        """Show it."""

    def close(self) -> None:
        """End the line that is being written."""


def progress_bar(*, quiet: bool) -> Progress:
    """A bar per stage on a terminal's stderr: tqdm's, or plain text without tqdm; nothing elsewhere or if quiet."""
    if quiet or not sys.stderr.isatty():
        return Silence()
    try:
        import tqdm  # noqa: F401
    except ModuleNotFoundError:
        return PlainBar()
    return TqdmBar()


class Silence:
    """No bar."""

    def __call__(self, stage: str, fraction: float) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class PlainBar:
    """A percentage that is written over."""

    def __init__(self) -> None:
        self.written: str | None = None

    def __call__(self, stage: str, fraction: float) -> None:
        """Write the line again; a finished stage keeps its line."""
        line = f"{STAGES.get(stage, stage):<22}{fraction:4.0%}"
        if line != self.written:
            sys.stderr.write(f"\r{line}" + ("\n" if fraction >= 1 else ""))
            sys.stderr.flush()
        self.written = None if fraction >= 1 else line

    def close(self) -> None:
        """End an unfinished line."""
        if self.written is not None:
            sys.stderr.write("\n")
            self.written = None


class TqdmBar:
    """A bar per stage by tqdm."""

    def __init__(self) -> None:
        self.stage: str | None = None
        self.bar: Any = None

    def __call__(self, stage: str, fraction: float) -> None:
        """Move the stage's bar, or begin the next one."""
        from tqdm import tqdm

        if stage != self.stage:
            self.close()
            layout = "{desc:<22}{percentage:3.0f}%|{bar:30}| {elapsed}"
            self.bar = tqdm(total=1.0, desc=STAGES.get(stage, stage), bar_format=layout, file=sys.stderr)
            self.stage = stage
        self.bar.n = min(fraction, 1.0)
        self.bar.refresh()

    def close(self) -> None:
        """Leave the bar as it is."""
        if self.bar is not None:
            self.bar.close()
        self.bar = self.stage = None


def table(content: dict[str, Any]) -> str:
    """The figures of summary.json for people."""
    lines = [f"{content['moving']} (moving) -> {content['fixed']} (fixed)", ""]
    lines += [f"{'':<28}{'before':>9}{'aligned':>9}{'after':>9}"]
    lines += [row("Dice of the lungs", [content[f"dice_{when}"] for when in WHEN], 3)]
    distances = content["hausdorff95_mm"]
    if distances is not None:
        lines += [row("95 % Hausdorff [mm]", [distances[when] for when in WHEN], 2)]
    errors = content["landmark_error_mm"]
    if errors is not None:
        for name, entry in (("Landmark error, mean [mm]", "mean"), ("Landmark error, 95th p. [mm]", "p95")):
            lines += [row(name, [errors[when] and errors[when]["ds"][entry] for when in WHEN], 2)]
    likeness = content["similarity"]
    lines += [row("Similarity in the lungs", [likeness["before"], None, likeness["after"]], 3), ""]
    lines += [
        f"Folded: {percent(content['folded_percent_lung'])} of the lungs, {percent(content['folded_percent'])} of the"
        " whole field"
    ]
    lines += [
        f"Volume: mean Jacobian in the lungs {shown(content['mean_jacobian_lung'], 3)}, ratio of the masks"
        f" {shown(content['lung_volume_ratio'], 3)}"
    ]
    lines += [f"Lung masks: {', '.join(f'{name} {origin or chr(45)}' for name, origin in content['masks'].items())}"]
    for name, key in (("Inverse, residual", "inversion_residual_mm"), ("Forward and back", "inverse_consistency_mm")):
        if content[key] is not None:
            lines += [f"{name}: mean {content[key]['mean']:.3f} mm, 95 % below {content[key]['p95']:.3f} mm"]
    return "\n".join([*lines, *cost(content)])


WHEN = ("before", "aligned", "after")


def cost(content: dict[str, Any]) -> list[str]:
    """Time and memory, and the warnings."""
    longest = sorted(content["seconds"].items(), key=lambda entry: -entry[1])[:4]
    parts = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in longest)
    memory = content["peak_memory_mb"]
    lines = [f"Time: {content['seconds_total']:.1f} s ({parts})" + (f"; {memory:.0f} MB" if memory else "")]
    if content["device"]:
        lines[0] += f"; {content['device']}"
    if content["warnings"]:
        lines += ["", "Warnings:", *(f"  - {warning}" for warning in content["warnings"])]
    return lines


def row(name: str, values: list[float | None], digits: int) -> str:
    """A line of the table."""
    return f"{name:<28}" + "".join(f"{shown(value, digits):>9}" for value in values)


def shown(value: float | None, digits: int) -> str:
    """A number, or a dash where it wasn't measured."""
    return "-" if value is None else f"{value:.{digits}f}"


def percent(value: float | None) -> str:
    """A percentage, or a dash where it wasn't measured."""
    return "-" if value is None else f"{value:.2g} %"


def say_result(content: dict[str, Any], where: str) -> None:
    """The table, and where the files are."""
    say(table(content))
    say()
    say(where)
    say(NOTICE)
