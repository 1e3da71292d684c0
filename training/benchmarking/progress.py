"""What a person sees of a running benchmark, on standard error."""

from __future__ import annotations

import sys

from tqdm import tqdm

from .cases import Case


class Progress:
    """A :class:`runner.Listener` that shows how far it is.

    Attributes:
        absent: Methods that can't run here, with the reason.
        failed: How many registrations failed.
    """

    def __init__(self, total: int) -> None:
        self.bar = tqdm(total=total, unit="pair", file=sys.stderr, dynamic_ncols=True)
        self.absent: dict[str, str] = {}
        self.failed = 0

    def begun(self, name: str, case: Case) -> None:
        """A method begins a case."""
        self.bar.set_description_str(f"{name}: {case.name}")

    def done(self, name: str, case: Case, error: str | None) -> None:
        """A case has its record."""
        self.bar.update()
        if error is not None:
            self.failed += 1
            self.bar.write(f"{name} failed: {case.name}: {error}", file=sys.stderr)

    def missing(self, name: str, why: str, cases: int) -> None:
        """A method can't run here; so many cases stay undone."""
        self.bar.total -= cases
        self.bar.refresh()
        if name not in self.absent:
            self.absent[name] = why
            self.bar.write(f"{name} is left out: {why}", file=sys.stderr)

    def close(self) -> None:
        """Leave the bar as it is."""
        self.bar.close()
