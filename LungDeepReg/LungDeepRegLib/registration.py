"""The whole registration, from two volumes to one transformation, readable from top to bottom."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch

from .alignment import ALIGNMENTS, Alignment, align
from .checkpoint import BUNDLED, Checkpoint, load_checkpoint
from .discrete_search import search, search_far
from .displacement_field import DisplacementField
from .intensity import MODALITIES, Intensity, choose_intensity
from .lung_mask import find_lungs
from .network_stage import predict
from .preprocessing import Prepared, prepare, registration_lattice, working_spacing
from .pyramid import Level, levels
from .refinement import PLANS, Plan, dissimilarity, refine
from .similarity import parse_similarity
from .transformation import written_field
from .unfolding import unfolded
from .volume import Volume, VolumeError, check_image

REFINEMENTS = ("off", *PLANS)
DEVICES = ("auto", "cpu", "cuda", "mps")
STAGES = ("prepare", "align", "network", "refine", "warp")

Progress = Callable[[str, float], None]
"""Told the stage (one of STAGES) and the fraction of it that is done."""


class RegistrationError(RuntimeError):
    """A registration that cannot go on, for a reason that the user can act on."""


@dataclass(frozen=True)
class Options:
    """All settings of a registration; the defaults are the command line's and the Slicer module's.

    Attributes:
        modality: ``auto``, ``ct``, ``mri`` or ``paper``.
        alignment: ``none``, ``centre`` or ``affine``.
        similarity: Weighted sum of terms such as ``mind`` or ``lncc=1,mi=0.5``.
        refine: ``off``, ``fast`` or ``accurate``.
        linear_branch: Use the network's affine output.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        seed: For everything random.
        voxel_budget: Most voxels of the registration lattice; its spacing follows from this.
    """

    modality: str = "auto"
    alignment: str = "affine"
    similarity: str = "mind"
    refine: str = "fast"
    linear_branch: bool = True
    device: str = "auto"
    seed: int = 0
    voxel_budget: int = 5_000_000

    def __post_init__(self) -> None:
        for name, known in (
            ("modality", MODALITIES),
            ("alignment", ALIGNMENTS),
            ("refine", REFINEMENTS),
            ("device", DEVICES),
        ):
            if getattr(self, name) not in known:
                msg = f"found {name} {getattr(self, name)!r}, expected one of {', '.join(known)}"
                raise ValueError(msg)
        parse_similarity(self.similarity)
        if self.voxel_budget < 10_000:
            msg = f"found a voxel budget of {self.voxel_budget}, expected at least 10000"
            raise ValueError(msg)


@dataclass(frozen=True)
class Registration:
    """What a registration found. Nothing else keeps any of it.

    Attributes:
        field: phi, fixed RAS mm to moving RAS mm; its lattice encloses the whole fixed image.
        warped: ``moving(phi(x))`` on the fixed image's voxels, sampled once from the moving image's own.
        covered: Where the moving image covers the fixed one, bool ``(K, J, I)``; elsewhere ``warped`` is the fill.
        alignment: The affine start, 4x4, and how sure it is.
        fixed_lungs: The fixed image's lung mask, given or found, bool ``(K, J, I)``, or None.
        moving_lungs: The moving image's.
        fixed_intensity: How the fixed image's values were read.
        moving_intensity: How the moving image's values were read.
        options: The settings.
        device: Where the network and the refinement ran, such as ``cpu`` or ``cuda:0 NVIDIA ...``.
        seconds: Time of each stage.
        warnings: What the user should know, one sentence each.
    """

    field: DisplacementField
    warped: Volume
    covered: np.ndarray
    alignment: Alignment
    fixed_lungs: np.ndarray | None
    moving_lungs: np.ndarray | None
    fixed_intensity: Intensity
    moving_intensity: Intensity
    options: Options
    device: str
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def register(
    fixed: Volume,
    moving: Volume,
    options: Options | None = None,
    *,
    fixed_mask: np.ndarray | None = None,
    moving_mask: np.ndarray | None = None,
    checkpoint: Checkpoint | Literal["bundled"] | None = "bundled",
    progress: Progress = lambda stage, fraction: None,
) -> Registration:
    """Register two images of the lungs.

    Args:
        fixed: The image that stays (exhale, baseline).
        moving: The image that is deformed onto it (inhale, follow-up).
        options: Settings; None for the defaults.
        fixed_mask: Lung mask on the fixed image's voxels, ``(K, J, I)``; found automatically in CT where None.
        moving_mask: Lung mask on the moving image's voxels.
        checkpoint: A trained network; ``bundled`` for the one that ships; with None that stage is left out.
        progress: Told how far each stage is; it may raise to stop the registration.

    Returns:
        The registration. The inputs are never changed.

    Raises:
        VolumeError: An image that cannot be registered.
        RegistrationError: Images that don't overlap, or a device that isn't there.
    """
    options = options or Options()
    warnings: list[str] = []
    clock = Clock(progress)
    device = choose_device(options.device)
    network = load_checkpoint(BUNDLED) if checkpoint == "bundled" else checkpoint
    torch.manual_seed(options.seed)

    with clock.stage("prepare"):
        fixed_intensity, fixed_mask = read_image(fixed, fixed_mask, options.modality, warnings)
        moving_intensity, moving_mask = read_image(moving, moving_mask, options.modality, warnings)
        spacing = working_spacing(fixed, fixed_mask, options.voxel_budget)
        fixed_ready = prepare(fixed, fixed_intensity, fixed_mask, spacing)
        moving_ready = prepare(moving, moving_intensity, moving_mask, spacing)

    with clock.stage("align"):
        alignment = align(fixed_ready, moving_ready, options.alignment)
        warnings += [f"alignment: {doubt}" for doubt in alignment.doubts]
        if alignment.overlap == 0:
            msg = f"{fixed.name} and {moving.name} do not overlap after the alignment {options.alignment!r}"
            raise RegistrationError(msg)

    def deform(where: torch.device) -> DisplacementField | None:
        return deformed(fixed_ready, moving_ready, alignment.matrix, network, options, where, clock, warnings)

    if network is None:
        warnings.append("no trained weights: the network was left out")
    residual, device = with_cpu_in_reserve(deform, device, warnings)

    with clock.stage("warp"):
        phi = written_field(alignment.matrix, residual, fixed.lattice)
        warped, covered = phi.warp(moving, fixed.lattice, fill=moving_intensity.fill)

    return Registration(
        field=phi, warped=warped, covered=covered, alignment=alignment, fixed_lungs=fixed_mask,
        moving_lungs=moving_mask, fixed_intensity=fixed_intensity, moving_intensity=moving_intensity,
        options=options, device=device_name(device), seconds=clock.seconds, warnings=tuple(warnings),
    )  # fmt: skip


def read_image(
    volume: Volume, mask: np.ndarray | None, modality: str, warnings: list[str]
) -> tuple[Intensity, np.ndarray | None]:
    """Check an image, choose how its values are read, and find its lungs unless a mask was given."""
    check_image(volume)
    intensity = choose_intensity(volume, modality)
    if mask is not None:
        return intensity, checked_mask(mask, volume)
    lungs = find_lungs(volume, intensity)
    if lungs is None and intensity.modality == "ct":
        warnings.append(f"{volume.name}: no lung found; the whole image is used")
    return intensity, lungs


def checked_mask(mask: np.ndarray, volume: Volume) -> np.ndarray:
    """The mask as bool, or a :class:`VolumeError` where it is empty or of another shape."""
    if mask.shape != volume.array.shape:
        msg = f"{volume.name}: found a mask of shape {mask.shape}, expected the image's {volume.array.shape}"
        raise VolumeError(msg)
    if not mask.any():
        msg = f"{volume.name}: found an empty mask, expected some lung"
        raise VolumeError(msg)
    return mask > 0


def deformed(
    fixed: Prepared,
    moving: Prepared,
    matrix: np.ndarray,
    network: Checkpoint | None,
    options: Options,
    device: torch.device,
    clock: Clock,
    warnings: list[str],
) -> DisplacementField | None:
    """v: what the network finds, and what the instance optimisation makes of it; None where there is neither.

    What the network finds counts only as far as the images get more alike by it.
    """
    needed = network is not None or options.refine != "off"
    with clock.stage("network"):
        pyramid = compared(fixed, moving, matrix, options, device) if needed else []
        predicted = None
        if network is not None:
            unlike = partial(dissimilarity, pyramid[0])
            predicted = predict(
                fixed, moving, matrix, network, use_linear=options.linear_branch, to_refine=options.refine != "off",
                unlike=unlike, device=device,
            )  # fmt: skip
            if predicted is None or unlike(predicted) > unlike(at_rest(pyramid)):
                warnings.append("the network's result was left out: the images are more alike without it")
                predicted = None
    with clock.stage("refine"):
        return refined(pyramid, predicted, options, clock) if needed else None


def compared(
    fixed: Prepared, moving: Prepared, matrix: np.ndarray, options: Options, device: torch.device
) -> list[Level]:
    """Features of both images: first a coarse level that judges and searches, then those that are refined on."""
    plan, similarity = PLANS.get(options.refine, Plan(())), parse_similarity(options.similarity)
    similarities = [parse_similarity("mind"), *[similarity] * len(plan.iterations)]
    lattice = registration_lattice(fixed, moving, matrix)
    return levels(fixed, moving, lattice, matrix, similarities, device, full_resolution=plan.full_resolution)


def at_rest(pyramid: list[Level]) -> DisplacementField:
    """v where nothing moves beyond the alignment."""
    return DisplacementField.from_matrix(np.eye(4), pyramid[0].lattice)


def refined(
    pyramid: list[Level], predicted: DisplacementField | None, options: Options, clock: Clock
) -> DisplacementField:
    """v: what the instance optimisation makes of the network's result and of searches over many displacements.

    A search near the alignment is a start only where no network's result is there.
    """
    if options.refine == "off":
        return unfolded(at_rest(pyramid) if predicted is None else predicted)
    coarse, *finer = pyramid
    near = [at_rest(pyramid), search(coarse)] if predicted is None else [predicted]
    starts = [*near, search_far(coarse)]
    progress = partial(clock.progress, "refine")
    return refine(finer, parse_similarity(options.similarity), PLANS[options.refine], starts, progress)


def with_cpu_in_reserve(
    run: Callable[[torch.device], DisplacementField | None], device: torch.device, warnings: list[str]
) -> tuple[DisplacementField | None, torch.device]:
    """Run on a device; where a GPU's memory doesn't suffice, once more on the CPU, and say so in the warnings.

    Returns:
        What was found, and the device that found it.
    """
    try:
        return run(device), device
    except RuntimeError as error:  # torch.OutOfMemoryError is one since torch 2.5; MPS has none of its own
        if device.type == "cpu" or "out of memory" not in str(error):
            raise
    # Here the error, and with it whatever it kept alive on the GPU, is gone.
    if device.type == "cuda":
        torch.cuda.empty_cache()
    warnings.append(f"the memory of {device_name(device)} didn't suffice; it went on on the CPU, which takes longer")
    return run(torch.device("cpu")), torch.device("cpu")


def choose_device(name: str) -> torch.device:
    """The device asked for; ``auto`` takes a CUDA GPU where there is one, otherwise the CPU.

    Raises:
        RegistrationError: A GPU that is asked for by name but absent.
    """
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device("cuda" if present["cuda"] else "cpu")
    if not present[name]:
        msg = f"found no {name} device, expected one since it was asked for; choose auto or cpu"
        raise RegistrationError(msg)
    return torch.device(name)


def device_name(device: torch.device) -> str:
    """The device for people, with the GPU's model."""
    return f"cuda {torch.cuda.get_device_name(device)}" if device.type == "cuda" else device.type


class Clock:
    """Times the stages and reports their progress."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what is done inside."""
        self.progress(name, 0.0)
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start
        self.progress(name, 1.0)
