"""``warp``: a saved transformation applied to an image, a label image or landmarks."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from ..displacement_field import DisplacementField
from ..image_io import read_landmarks, read_transform, read_volume, write_landmarks, write_volume
from ..intensity import choose_intensity
from ..landmarks import Landmarks
from ..results.images import stored
from ..results.output_files import warped_landmarks
from ..results.pair import check_inside
from ..results.staging import OutputError, failing_as_output, staged_file
from ..volume import Volume, check_image
from .console import complain, say
from .inputs import noted


def run(args: Namespace) -> None:
    """Apply the transformation of a command line to what was given, and write one file."""
    out = Path(args.out)
    notes: list[str] = []
    source = args.image or args.label or args.landmarks or args.fixed_landmarks
    inputs = [Path(path) for path in (source, args.transform, args.reference)]
    if any(out.exists() and path.exists() and out.samefile(path) for path in inputs):
        msg = f"{out}: this is one of the inputs, expected another file for the result"
        raise OutputError(msg)
    with staged_file(out, overwrite=args.overwrite) as unfinished, noted(notes):
        reference = read_volume(args.reference)
        phi = read_transform(args.transform, reference.lattice)
        if args.image or args.label:
            result = warped_volume(source, phi, reference, label=bool(args.label), modality=args.modality, notes=notes)
            with failing_as_output(out):
                write_volume(unfinished, result)
        else:
            points = taken_landmarks(source, phi, reference, to_moving=bool(args.fixed_landmarks), notes=notes)
            with failing_as_output(out):
                write_landmarks(unfinished, points)
    for note in notes:
        complain(f"warning: {note}")
    say(f"Wrote {out}")


def warped_volume(
    path: str, phi: DisplacementField, reference: Volume, *, label: bool, modality: str, notes: list[str]
) -> Volume:
    """An image (linear) or a label image (nearest neighbour, 0 outside) on the reference's voxels."""
    moving = read_volume(path)
    if not label:
        check_image(moving)
    fill = 0 if label else choose_intensity(moving, modality).fill
    warped, covered = phi.warp(moving, reference.lattice, fill=fill, mode="nearest" if label else "bilinear")
    if not covered.any():
        notes.append(f"{moving.name} covers nothing of {reference.name} through this transformation")
    return warped if label else stored(warped, moving.array.dtype)


def taken_landmarks(
    path: str, phi: DisplacementField, reference: Volume, *, to_moving: bool, notes: list[str]
) -> Landmarks:
    """Landmarks of the fixed image taken to the moving one by phi, or those of the moving image back by phi^-1."""
    landmarks = read_landmarks(path, reference.lattice if to_moving else None)
    if not to_moving:
        warped, unreached = warped_landmarks(phi, landmarks)
        notes += unreached
        return warped
    check_inside(landmarks, reference)
    return Landmarks(phi(landmarks.points_ras), landmarks.labels, landmarks.name)
