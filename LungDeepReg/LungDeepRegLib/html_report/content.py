"""What a report is made of, and the same as plain data without what could tell who the patient is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from ..json_values import plain
from ..landmark_review.observers import ObserverComparison
from ..landmark_review.table import PairErrors, exclusion, left_out, statistics
from ..quality import DEFAULT_THRESHOLDS, MEANINGS, Check, overall
from .anonymous import NameRemover

STATISTICS = {"all": True, "without doubtful": False}
"""Statistics of blind pairs, and whether those count that the reviewer doubts."""


FOREIGN = ("summary", "landmarks", "observers", "notes")
"""What holds others' texts; the rest is the program's own words, which a node called "Lungs" isn't to change."""
NOBODY = re.compile(r"(observer|reader|rater)?[ _-]?\w{0,2}", re.IGNORECASE)
ORDINALS = ("first", "second", "third")


@dataclass(frozen=True)
class Picture:
    """One picture of the report.

    Attributes:
        title: What it shows.
        caption: How to read it; may be empty.
        png: The bytes of a PNG file.

    Raises:
        ValueError: Bytes that are no PNG.
    """

    title: str
    caption: str
    png: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if self.png[:8] != b"\x89PNG\r\n\x1a\n" or len(self.png) < 24:
            msg = f"{self.title}: found {self.png[:8]!r} at the start of the picture, expected a PNG file"
            raise ValueError(msg)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return int.from_bytes(self.png[16:20]), int.from_bytes(self.png[20:24])


@dataclass(frozen=True)
class ReportContent:
    """Everything that a report may hold; what is None is said to be not measured.

    Attributes:
        summary: The entries of summary.json.
        checks: The lights, from :func:`quality.checks`.
        landmarks: The errors at landmark pairs, from :func:`landmark_review.table.errors`.
        observers: Two observers compared.
        observer_names: The first and the second one's names, which are told in a report that is ``named`` only, as
            those of the landmarks' observers are; but for such as ``A`` or ``Observer 1``.
        regions: Figures of the lungs and their parts, the rows ``region_figures`` of the worker's task ``assess``.
        assessment: The figures of the whole, its ``figures``.
        notes: What else the reader should know, one sentence each, beside the summary's own warnings.
        pictures: In their order.
        named: Whether the images' names are shown. They, and file names, can hold a patient's.
        private: Further texts that could tell who the patient is: names of other nodes or files, IDs. They are removed
            wherever they stand, but for a report that is ``named``.
        written: When the report was made, for its head; None for now.
    """

    summary: Mapping[str, Any]
    checks: Sequence[Check] | None = None
    landmarks: Sequence[PairErrors] | None = None
    observers: ObserverComparison | None = None
    observer_names: Sequence[str] = ()
    regions: Sequence[Mapping[str, Any]] | None = None
    assessment: Mapping[str, Any] | None = None
    notes: Sequence[str] = ()
    pictures: Sequence[Picture] = ()
    named: bool = False
    private: Sequence[str] = ()
    written: datetime | None = None


def report_data(content: ReportContent) -> dict[str, Any]:
    """All that a report says, but for its pictures, as JSON holds it and without names where they aren't asked for.

    The page, the CSV and the JSON file are all made of this, so that they can't differ, and nothing goes past the
    removal of names.
    """
    written = content.written or datetime.now().astimezone()
    data = {
        "summary": dict(content.summary),
        "verdict": None if content.checks is None else verdict(content.checks),
        "checks": None if content.checks is None else [check_data(check) for check in content.checks],
        "landmarks": None if content.landmarks is None else landmark_data(content.landmarks),
        "observers": None if content.observers is None else observer_data(content),
        "assessment": None if content.assessment is None else dict(content.assessment),
        "regions": None if content.regions is None else [dict(row) for row in content.regions],
        "notes": list(content.notes),
        "written": written.isoformat(sep=" ", timespec="minutes"),
    }
    found, clean = plain(data), remover(content)
    return {name: clean(part) if name in FOREIGN else part for name, part in found.items()}


def remover(content: ReportContent) -> NameRemover:
    """Removes from texts what the report isn't to tell."""
    names = str(content.summary.get("fixed") or ""), str(content.summary.get("moving") or "")
    called = [*content.observer_names, *(row.pair.observer for row in content.landmarks or ())]
    told = [name for name in dict.fromkeys(called) if not NOBODY.fullmatch(name.strip())]
    ordinals = dict(zip(dict.fromkeys(called), ORDINALS, strict=False))
    observers = tuple((name, f"{ordinals.get(name, 'another')} observer") for name in told)
    return NameRemover(*names, private=tuple(content.private), named=content.named, observers=observers)


def captioned(content: ReportContent) -> list[Picture]:
    """The pictures, their words without names where these aren't asked for."""
    clean = remover(content)
    return [replace(entry, title=clean(entry.title), caption=clean(entry.caption)) for entry in content.pictures]


def observer_data(content: ReportContent) -> dict[str, Any]:
    """The comparison, and who is compared."""
    assert content.observers is not None
    names = [{"observer": name} for name in content.observer_names]
    return {"names": names, **asdict(content.observers)}


def verdict(checks: Sequence[Check]) -> dict[str, Any]:
    """The light of the whole, why, and which checks have other limits than by default."""
    light, reasons = overall(list(checks))
    changed = [check.title for check in checks if check_data(check)["default"] is not None]
    return {"light": light.value, "reasons": reasons, "changed_limits": changed}


def check_data(check: Check) -> dict[str, Any]:
    """One light, with what its check means, and its limits by default where it has others."""
    usual = DEFAULT_THRESHOLDS.get(check.name)
    default = None if usual is None or usual == check.threshold else asdict(usual)
    return {**asdict(check), "light": check.light.value, "default": default, "meaning": MEANINGS.get(check.name, "")}


def landmark_data(rows: Sequence[PairErrors]) -> dict[str, Any]:
    """The table of pairs, and the statistics of those that were placed blind, over all axes and times."""
    pairs = [
        {
            **asdict(row.pair),
            "blind": row.pair.blind,
            "before": None if row.before is None else asdict(row.before),
            "after": None if row.after is None else asdict(row.after),
            "left_out": None if (why := exclusion(row)) is None else why.value,
        }
        for row in rows
    ]
    figures = {
        which: {name: statistics(rows, which, doubtful=doubtful) for name, doubtful in STATISTICS.items()}
        for which in ("before", "after")
    }
    omitted = {reason.value: count for reason, count in left_out(rows).items()}
    return {"pairs": pairs, "statistics": figures, "left_out": omitted}
