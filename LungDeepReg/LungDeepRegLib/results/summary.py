"""summary.json: what was measured, and how the result came about."""

from __future__ import annotations

import json
import platform
import sys
from dataclasses import dataclass, field, fields
from importlib import import_module, metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..html_report import NOTICE
from ..json_values import plain

if TYPE_CHECKING:
    from .evaluation import Evaluation

LIBRARIES = ("torch", "numpy", "scipy", "SimpleITK", "nibabel", "matplotlib")

DISTRIBUTION = "mean, sd, median, p95, max"
SCHEMA = {
    "dice_before": "Dice of the lung masks with both images where they lie in world coordinates (nearest neighbour)",
    "dice_aligned": "the same after the affine alignment alone",
    "dice_after": "the same after the whole transformation",
    "hausdorff95_mm": "before, aligned, after: 95 % Hausdorff distance of the lung masks' surfaces, in mm of the moving"
    " image: the greater one of the 95th percentiles (of the area) of the distances from either surface to the other;"
    " null without both masks",
    "landmark_error_mm": "before, aligned, after: each dx, dy, dz (absolute distances along R, A, S) and ds (Euclidean"
    f" distance) between phi(fixed landmarks) and moving landmarks, each as {DISTRIBUTION}",
    "similarity": "before, after: mean squared local correlation coefficient (measure lncc; cubes of 7 voxels of 3 mm)"
    " in the fixed lungs where the moving image covers them, 0 to 1; without a mask in the whole image",
    "folded_percent_lung": "percentage of the field's cells in the fixed lungs in which one of the eight one-sided"
    " Jacobian determinants is zero or less",
    "folded_percent": "the same over the whole field",
    "jacobian_lung": "min, max, percent_outside (0.3 to 3), log_sd (standard deviation of the natural logarithm) of the"
    " Jacobian determinant over the voxels of the fixed lungs",
    "mean_jacobian_lung": "mean Jacobian determinant over the voxels of the fixed lungs; agrees with lung_volume_ratio"
    " if the direction is right",
    "lung_volume_ratio": "volume of the moving lungs over volume of the fixed lungs",
    "coverage_percent_lung": "percentage of the fixed lungs that the deformed moving image covers",
    "inversion_residual_mm": "mean, p95, max of |phi(phi^-1(y)) - y| in the moving lungs; null unless an inverse was"
    " asked for",
    "inverse_consistency_mm": f"|psi(phi(x)) - x| in the fixed lungs as {DISTRIBUTION}, psi being the registration of"
    " the swapped pair; null unless it was asked for",
    "masks": "fixed, moving: whether the lung mask behind these figures was given, found automatically, or is null",
    "intensity": "fixed, moving: how the values were read, and why",
    "fixed": "the fixed image's name",
    "moving": "the moving image's name",
    "seconds": "time of each stage",
    "seconds_total": "time from the start of the process (where the system doesn't tell it, of the command) to the"
    " writing of this file",
    "peak_memory_mb": "most memory that the process had resident up to the writing of this file; null on Windows",
    "versions": "of this program, Python, the libraries and the operating system",
    "device": "where the registration ran; null for a transformation that was made elsewhere",
    "seed": "of everything random; null for a transformation that was made elsewhere",
    "options": "all settings",
    "warnings": "what the user should know, one sentence each",
    "not_for_clinical_use": NOTICE,
}
"""What each entry of summary.json is. Null: not measured."""


@dataclass(frozen=True)
class Run:
    """How a result came about.

    Attributes:
        fixed: The fixed image's name.
        moving: The moving image's name.
        masks: For ``fixed`` and ``moving`` whether the lung mask was ``given``, ``found`` or None.
        intensity: For ``fixed`` and ``moving`` how the values were read, and why.
        seconds: Time of each stage.
        seconds_total: Time of everything.
        device: Where the registration ran, or None.
        seed: Of everything random, or None.
        options: All settings.
        warnings: One sentence each.
    """

    fixed: str
    moving: str
    masks: dict[str, str | None]
    intensity: dict[str, str]
    seconds: dict[str, float] = field(default_factory=dict)
    seconds_total: float = 0.0
    device: str | None = None
    seed: int | None = None
    options: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def summary(evaluation: Evaluation, run: Run) -> dict[str, Any]:
    """The content of summary.json, with the keys of :data:`SCHEMA` in its order."""
    found = {
        **{entry.name: getattr(evaluation, entry.name) for entry in fields(evaluation)},
        **{entry.name: getattr(run, entry.name) for entry in fields(run)},
        "peak_memory_mb": peak_memory_mb(),
        "versions": versions(),
        "not_for_clinical_use": NOTICE,
    }
    return {name: plain(found[name]) for name in SCHEMA}


def write_summary(path: Path, content: dict[str, Any]) -> None:
    """Write summary.json.

    Raises:
        OSError: A full disk or a place that isn't writable.
    """
    path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def schema_table() -> str:
    """:data:`SCHEMA` as a Markdown table, for the README."""
    rows = [f"| `{name}` | {what} |" for name, what in SCHEMA.items()]
    return "\n".join(["| entry | what |", "| --- | --- |", *rows])


def versions() -> dict[str, str | None]:
    """Versions of this program, of Python, of the libraries (None if absent) and of the operating system."""
    package = __name__.partition(".")[0]
    found: dict[str, str | None] = {package: import_module(package).__version__, "python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return {**found, "platform": platform.platform()}


def peak_memory_mb() -> float | None:
    """The most memory that this process had resident so far, in MB; None where the system doesn't tell (Windows)."""
    try:
        import resource
    except ModuleNotFoundError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
