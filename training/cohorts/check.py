"""Every scan of a cohort read once, before training."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable

from LungDeepRegLib.volume import Volume

from .scan import Cohort, CohortError, Scan, raise_problems


def check_cohort(cohort: Cohort, progress: Callable[[Iterable[Scan]], Iterable[Scan]] = iter) -> None:
    """Load every scan, and report all that is wrong at once.

    Besides what :meth:`Scan.load` checks: copies of one image under two patients, which would put it in both splits.

    Args:
        cohort: The scans, read one after the other; one is in memory at a time.
        progress: Wraps the scans, to show how far it is: ``tqdm``, for instance.

    Raises:
        CohortError: One line a problem, the first ten in words, and how many there are.
    """
    problems: list[str] = []
    seen: dict[bytes, Scan] = {}
    for scan in progress(cohort.scans):
        try:
            image = scan.load().image
        except CohortError as error:
            problems.append(str(error))
            continue
        first = seen.setdefault(digest(image), scan)
        if first.patient != scan.patient:
            problems.append(
                f"{first.origin}; {scan.origin}: found the same voxels in an image of patient {first.patient} and one"
                f" of {scan.patient}, expected different images"
            )
    raise_problems(cohort.name, problems)


def digest(image: Volume) -> bytes:
    """A fingerprint of the voxels, wherever they are in space."""
    found = hashlib.blake2b(repr((image.array.shape, image.array.dtype.str)).encode(), digest_size=16)
    for plane in image.array:
        found.update(plane.tobytes())
    return found.digest()
