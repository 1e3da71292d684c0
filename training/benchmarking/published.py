"""The figures that the paper published, to be read beside ours: of its own MRI, its own machines, its own experts."""

from __future__ import annotations

from dataclasses import dataclass

SOURCE = "Christodoulidis et al. 2018, arXiv 1809.06226, Tables 1 and 2"
COORDINATES = ("dx", "dy", "dz", "ds")


@dataclass(frozen=True)
class Published:
    """A row of the paper's tables; None where the paper has no figure.

    Attributes:
        title: The paper's name for it.
        dice: Mean and standard deviation of the Dice coefficient of 13 inhale-exhale pairs, in percent.
        combinations: The same of all 169 combinations of the 13 patients.
        time: Per subject, and on what.
        landmarks: Mean distances in mm, in the order of :data:`COORDINATES`.
    """

    title: str
    dice: tuple[float, float] | None = None
    combinations: tuple[float, float] | None = None
    time: str | None = None
    landmarks: tuple[float, float, float, float] | None = None


INTER_OBSERVER = Published("Inter-observer", landmarks=(1.664, 2.545, 1.555, 3.905))
"""Between the paper's two experts."""

PUBLISHED: dict[str, Published] = {
    "unregistered": Published("Unregistered", (75.62, 10.89), (57.22, 12.90)),
    "syn": Published("SyN (ANTs)", (83.86, 6.04), None, "2500 s (CPU)"),
    "ffd-ncc": Published("Deformable with NCC", (84.25, 6.89), (76.10, 7.92), "1 s (GPU)"),
    "ffd-dwm": Published("Deformable with DWM", (88.63, 4.67), (75.92, 8.81), "2 s (GPU)"),
    "ffd-mi": Published("Deformable with MI", (88.86, 5.13), (76.33, 8.74), "2 s (GPU)"),
    "ffd-all": Published(
        "Deformable with NCC, DWM and MI", (88.81, 5.85), (78.71, 8.56), "2 s (GPU)", (1.855, 3.169, 2.229, 4.699)
    ),
    "network": Published(
        "Proposed, without affine", (91.28, 2.47), (81.75, 7.88), "0.5 s (GPU)", (2.014, 2.947, 1.858, 4.569)
    ),
    "network+linear": Published("Proposed", (91.48, 2.33), (82.34, 7.68), "0.5 s (GPU)", (1.793, 2.904, 1.822, 4.358)),
}
"""By the name of the row here that is nearest to it. The paper refines nothing, so no refined row has a neighbour."""
