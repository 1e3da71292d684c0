"""What many records say together: means, and tests of one method against the others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from LungDeepRegLib.metrics import Distribution
from scipy.stats import rankdata, wilcoxon

from .record import DRAWN, REST, VALIDATION, Record

DEFAULT = "network+linear+refine"
"""The product's defaults, which are tested against every other row."""
OBSERVERS, TRUTH = ("1", "2"), "truth"

INHALE_EXHALE, ALL, DRAWN_ONES = "inhale-exhale", "combinations", "drawn combinations"
ALL_GROUPS = (VALIDATION, DRAWN, REST)

Reader = Callable[[Record], float | None]


@dataclass(frozen=True)
class Measure:
    """A figure of a registration: its name with its unit, how it is read, and which way is better."""

    name: str
    value: Reader
    higher_is_better: bool


@dataclass(frozen=True)
class Comparison:
    """A paired two-sided Wilcoxon signed-rank test of one method against another.

    Attributes:
        measure: What is compared, with its unit.
        pairs: Of which images: ``inhale-exhale``, ``combinations`` or ``drawn combinations``.
        method: The method that is tested.
        other: The method it is tested against.
        registrations: How many pairs of images both methods registered.
        left_out: Pairs of images that only one of them registered.
        n: Independent differences: of pairs within a patient, otherwise means over the pairs of one fixed patient.
        median: Of the ``n`` differences, method minus other.
        better: In how many of the ``n`` the method is the better one.
        ahead: Whether it is the better one by the signed ranks, which the test is about.
        p: Of the test alone.
        p_holm: Corrected for the tests of this measure within patients, or of all combinations (Holm 1979).
    """

    measure: str
    pairs: str
    method: str
    other: str
    registrations: int
    left_out: int
    n: int
    median: float
    better: int
    ahead: bool
    p: float
    p_holm: float


def dice_percent(record: Record) -> float | None:
    """Dice of the lungs in percent."""
    return None if record.dice is None else 100 * record.dice


def landmark_mm(record: Record, entry: str = "ds") -> float | None:
    """A landmark distance in mm, mean of both observers (of the one there is)."""
    found = [record.landmarks[name][entry] for name in OBSERVERS if name in (record.landmarks or {})]  # type: ignore[index]
    return float(np.mean(found)) if found else None


def true_landmark_mm(record: Record) -> float | None:
    """The landmarks' mean Euclidean distance from the truth in mm, where it is known."""
    return (record.landmarks or {}).get(TRUTH, {}).get("ds")


def distribution(records: Iterable[Record], value_of: Reader) -> tuple[Distribution | None, int]:
    """A figure's distribution over the records that have it, and how many these are."""
    values = [value for value in map(value_of, records) if value is not None]
    return (Distribution.of(np.array(values)) if values else None), len(values)


def of_method(records: Iterable[Record], method: str, groups: Sequence[str]) -> list[Record]:
    """A method's records of some groups."""
    return [record for record in records if record.method == method and record.group in groups]


DICE = Measure("Dice [%]", dice_percent, higher_is_better=True)
LANDMARKS = Measure("landmarks, ds [mm]", landmark_mm, higher_is_better=False)
TRUE_LANDMARKS = Measure("landmarks, ds to the truth [mm]", true_landmark_mm, higher_is_better=False)


def combination_groups(records: Iterable[Record], methods: Iterable[str]) -> tuple[str, tuple[str, ...]]:
    """Which combinations some methods have in common, in words and as groups: all, or only the drawn ones."""
    beyond = {record.method for record in records if record.group == REST}
    return (ALL, ALL_GROUPS) if beyond.issuperset(methods) else (DRAWN_ONES, (DRAWN,))


def comparisons(records: Sequence[Record], others: Sequence[str], method: str = DEFAULT) -> list[Comparison]:
    """All tests of one method: Dice and landmarks within patients, Dice of the combinations.

    Args:
        records: Of a benchmark.
        others: The methods to test against; those with nothing to compare have no test.
        method: The method to test.
    """
    within = dict.fromkeys(others, (INHALE_EXHALE, (VALIDATION,)))
    combined = {name: combination_groups(records, (method, name)) for name in others}
    found = []
    for measure, wanted in ((DICE, within), (DICE, combined), (LANDMARKS, within), (TRUE_LANDMARKS, within)):
        tests = []
        for other, (words, groups) in wanted.items():
            sides = (of_method(records, side, groups) for side in (method, other))
            tests.append(compare(measure, words, *sides, by_patient=wanted is combined))
        found += corrected([test for test in tests if test is not None])
    return found


def compare(
    measure: Measure, pairs: str, ours: Sequence[Record], theirs: Sequence[Record], *, by_patient: bool
) -> Comparison | None:
    """One test; None without a pair that both methods registered. ``p_holm`` isn't corrected yet.

    Pairs that share a fixed patient aren't independent: ``by_patient`` takes their mean difference first.
    """
    a, b = values_by_pair(ours, measure), values_by_pair(theirs, measure)
    shared = [pair for pair in a if pair in b]
    if not shared:
        return None
    grouped: dict[object, list[float]] = defaultdict(list)
    for pair in shared:
        grouped[pair[0] if by_patient else pair].append(a[pair] - b[pair])
    differences = np.array([np.mean(values) for values in grouped.values()])
    p, gains = signed_rank(differences), differences if measure.higher_is_better else -differences
    return Comparison(
        measure=measure.name,
        pairs=pairs,
        method=ours[0].method,
        other=theirs[0].method,
        registrations=len(shared),
        left_out=len(a.keys() ^ b.keys()),
        n=len(differences),
        median=float(np.median(differences)),
        better=int((gains > 0).sum()),
        ahead=rank_sum(gains) > 0,
        p=p,
        p_holm=p,
    )


def values_by_pair(records: Iterable[Record], measure: Measure) -> dict[tuple[str, str], float]:
    """What a measure says of each pair of images, where it says anything."""
    found = {(record.fixed, record.moving): measure.value(record) for record in records}
    return {pair: value for pair, value in found.items() if value is not None}


def signed_rank(differences: np.ndarray) -> float:
    """p of the two-sided Wilcoxon signed-rank test; differences of zero count for neither side."""
    return float(wilcoxon(differences).pvalue) if differences.any() else 1.0


def rank_sum(differences: np.ndarray) -> float:
    """The sum of the signed ranks: above zero where differences above zero outweigh those below it."""
    counted = differences[differences != 0]
    return float((np.sign(counted) * rankdata(abs(counted))).sum())


def corrected(tests: Sequence[Comparison]) -> list[Comparison]:
    """The same tests with ``p_holm`` for all of them together."""
    return [replace(test, p_holm=p) for test, p in zip(tests, holm([test.p for test in tests]), strict=True)]


def holm(p: Sequence[float]) -> list[float]:
    """p values corrected for one another by the step-down method of Holm 1979, in their own order.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    found, most = [0.0] * len(p), 0.0
    for rank, at in enumerate(np.argsort(p, kind="stable")):
        most = max(most, min(1.0, (len(p) - rank) * p[at]))
        found[at] = most
    return found
