"""What the worker can do: register a pair, take images through a transformation, make the synthetic pair."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..checkpoint import BUNDLED, Checkpoint, CheckpointError, load_checkpoint
from ..geometry import Lattice
from ..intensity import choose_intensity
from ..outcome import Outcome
from ..phantom import PhantomConfig, chest_lattice, make_pair
from ..registration import Options, Progress, Registration, RegistrationError, register
from ..results.images import stored
from ..results.outcomes import outcome
from ..volume import Volume, check_image
from .assess_task import assess_registration, masks_of
from .landmark_tasks import find_candidates, propose_points
from .phase_task import phase

Request = dict[str, Any]
THICKER = 1.2
INHALE_SHIFT_MM = (3.0, 5.0, -6.0)


class RequestError(ValueError):
    """A request with settings that don't exist."""


class Tasks:
    """The tasks, and what they keep between jobs.

    Args:
        devices: Those that work here, with their names.
        doubts: Why a device that is there isn't among them, a sentence each.
    """

    def __init__(self, devices: dict[str, str], doubts: Sequence[str] = ()) -> None:
        self.devices = devices
        self.doubts = list(doubts)
        self.loaded: dict[tuple[str, int, int], Checkpoint] = {}

    def table(self) -> dict[str, Callable[[Request, Progress], Any]]:
        """The tasks by name."""
        return {
            "register": self.register,
            "warp": self.warp,
            "phantom": self.phantom,
            "phase": partial(phase, self.register),
            "candidates": find_candidates,
            "propose": propose_points,
            "assess": partial(assess_registration, self.registered),
        }

    def load_early(self) -> list[str]:
        """Load what the first job would wait for otherwise; what to warn of."""
        try:
            self.checkpoint("bundled")
        except CheckpointError as error:
            return [str(error)]
        return []

    def leave_the_gpu(self) -> None:
        """Take the networks back from where the last job put them."""
        for checkpoint in self.loaded.values():
            checkpoint.network.cpu()

    def register(self, request: Request, progress: Progress) -> Outcome:
        """Register two images.

        Args:
            request: ``fixed`` and ``moving``: Volumes; ``fixed_mask`` and ``moving_mask``: lists of what
                :func:`lung_mask.mask_on` takes, or None; ``options``: of :class:`registration.Options`;
                ``weights``: ``bundled``, ``none`` or a path.
            progress: Told the stage and its fraction.

        Raises:
            VolumeError, CheckpointError, RegistrationError, RequestError: What was given can't be used.
        """
        started = time.perf_counter()
        fixed, moving, settings = request["fixed"], request["moving"], request.get("options") or {}
        masks = masks_of(request)
        weights = str(request.get("weights", "bundled"))
        found = self.registered(fixed, moving, masks, request, progress)
        progress("measure", 0.0)
        given = {name: masks[name] is not None for name in ("fixed", "moving")}
        shown = outcome(found, fixed, moving, given=given, weights=weights, started=started)
        progress("measure", 1.0)
        doubts = self.doubts if settings.get("device", "auto") == "auto" else []
        return replace(shown, summary={**shown.summary, "warnings": [*shown.summary["warnings"], *doubts]})

    def registered(
        self,
        fixed: Volume,
        moving: Volume,
        masks: dict[str, np.ndarray | None],
        request: Request,
        progress: Progress,
    ) -> Registration:
        """What the engine finds for two images with a request's ``options`` and ``weights``; errors as in register."""
        found = register(
            fixed,
            moving,
            self.options(request.get("options") or {}),
            fixed_mask=masks["fixed"],
            moving_mask=masks["moving"],
            checkpoint=self.checkpoint(str(request.get("weights", "bundled"))),
            progress=progress,
        )
        if not found.covered.any():
            msg = f"{fixed.name} and {moving.name} do not overlap after registration"
            raise RegistrationError(msg)
        return found

    def options(self, values: dict[str, Any]) -> Options:
        """The settings, with the device that they lead to.

        Raises:
            RequestError: Unknown settings or values.
            RegistrationError: A GPU that is asked for but can't be used.
        """
        try:
            options = Options(**values)
        except (TypeError, ValueError) as error:
            raise RequestError(str(error)) from error
        if options.device == "auto" and "cuda" not in self.devices:
            return replace(options, device="cpu")
        if options.device == "cuda" and "cuda" not in self.devices:
            msg = "found no GPU that works with the installed PyTorch, expected one since it was asked for"
            raise RegistrationError("; ".join([msg, *self.doubts]))
        return options

    def checkpoint(self, weights: str) -> Checkpoint | None:
        """The trained network of ``bundled`` or of a file, read again only if the file has changed; None for ``none``.

        Raises:
            CheckpointError: A file that holds no network of ours.
        """
        if weights == "none":
            return None
        path = BUNDLED if weights == "bundled" else Path(weights)
        try:
            found = path.stat()
        except OSError:
            return load_checkpoint(path)  # which says what is wrong
        key = (str(path.resolve()), found.st_mtime_ns, found.st_size)
        if key not in self.loaded:
            self.loaded[key] = load_checkpoint(path)
        return self.loaded[key]

    def warp(self, request: Request, progress: Progress) -> list[dict[str, Volume]]:
        """Take images through a transformation, each to the reference's voxels.

        Args:
            request: ``field``: the DisplacementField; ``reference``: the Lattice; ``images``: a list of dicts with
                ``volume`` and ``labels`` (True: nearest neighbour, 0 outside).
            progress: Told the stage and its fraction.

        Returns:
            For each image ``warped``, in its stored type, and ``coverage``, uint8.

        Raises:
            VolumeError: An image without contrast or with NaN.
        """
        progress("warp", 0.0)
        done = []
        for number, image in enumerate(request["images"], start=1):
            done.append(warped(image["volume"], request["field"], request["reference"], labels=image["labels"]))
            progress("warp", number / len(request["images"]))
        return done

    def phantom(self, request: Request, progress: Progress) -> Request:
        """The synthetic pair with its masks and landmarks.

        Args:
            request: ``seed``, and optionally ``spacing`` in mm; without it the pair is the demo's.
            progress: Told the stage and its fraction.
        """
        progress("phantom", 0.0)
        lattices: list[Lattice] = []
        spacing = request.get("spacing")
        if spacing is not None:
            lattices = [chest_lattice(spacing), chest_lattice((spacing, spacing, THICKER * spacing), INHALE_SHIFT_MM)]
        pair = make_pair(PhantomConfig(seed=request.get("seed", 0)), *lattices)
        progress("phantom", 1.0)
        names = ("fixed", "moving", "fixed_mask", "moving_mask", "fixed_landmarks", "moving_landmarks")
        return {name: getattr(pair, name) for name in names}


def warped(volume: Volume, field: Any, reference: Lattice, *, labels: bool) -> dict[str, Volume]:
    """An image (linear) or a label image (nearest neighbour) through a transformation, in its stored type."""
    if labels:
        result, covered = field.warp(volume, reference, fill=0, mode="nearest")
    else:
        check_image(volume)
        result, covered = field.warp(volume, reference, fill=choose_intensity(volume).fill)
        result = stored(result, volume.array.dtype)
    coverage = Volume(covered.astype(np.uint8), reference.ijk_to_ras, f"{volume.name} coverage")
    return {"warped": result, "coverage": coverage}
