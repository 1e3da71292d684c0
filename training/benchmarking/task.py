"""From a command's options to what is to be registered, by which protocol and with what."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from LungDeepRegLib.intensity import choose_intensity

from ..cohorts import read_cohort
from ..errors import TrainingError
from ..methods import Method
from .cases import Case, cohort_cases, file_case
from .inputs import AS_IS, PAPER, Inputs
from .job import CUDA, Setting
from .machine import cores, machine, versions
from .options import AUTO, COHORT_GROUPS
from .record import AFFINE, DRAWN, PAIR, UNREGISTERED, MethodNote, RunNote

PREPARED = "prepared"
OWN_ROWS = {UNREGISTERED: "unregistered", AFFINE: "affine alignment"}


class OptionsError(TrainingError):
    """Options that contradict each other, or that can't be met here."""


@dataclass(frozen=True)
class Task:
    """What is to be benchmarked.

    Attributes:
        name: Of the cohort's file, or of the pair.
        cases: All there are, also those that aren't run now.
        groups: Those that are.
        synthetic: Whether the images are computed.
    """

    name: str
    cases: list[Case]
    groups: frozenset[str]
    synthetic: bool = False

    @property
    def chosen(self) -> list[Case]:
        """The cases that are run."""
        return [case for case in self.cases if case.group in self.groups]


def task_of(chosen: Namespace, drawn: int) -> Task:
    """The pairs of a cohort, or the one pair.

    Raises:
        OptionsError: Neither or both of them, or groups of pairs that there aren't.
        CohortError: Files that can't be used.
    """
    if (chosen.cohort is None) == (chosen.pair is None):
        msg = "found no images or two kinds of them, expected --cohort or --pair"
        raise OptionsError(msg)
    if chosen.pair is not None:
        case = file_case(*chosen.pair, chosen.masks, chosen.landmarks)
        return Task(f"{chosen.pair[0].name}, {chosen.pair[1].name}", [case], frozenset([PAIR]))
    if chosen.masks or chosen.landmarks:
        msg = "found --masks or --landmarks beside --cohort, expected them in its manifest"
        raise OptionsError(msg)
    groups = frozenset(word.strip() for word in chosen.groups.split(","))
    if not groups <= set(COHORT_GROUPS):
        msg = f"found --groups {chosen.groups}, expected some of {','.join(COHORT_GROUPS)}"
        raise OptionsError(msg)
    cohort = read_cohort(chosen.cohort)
    return Task(chosen.cohort.name, cohort_cases(cohort, drawn, chosen.seed), groups, cohort.synthetic)


def setting_of(chosen: Namespace, task: Task) -> Setting:
    """Protocol, threads and device.

    Raises:
        OptionsError: Less than one worker or thread, or a GPU that isn't there.
        CohortError: An image that can't be read.
    """
    for name, count in (("workers", chosen.workers), ("threads", chosen.threads)):
        if count is not None and count < 1:
            msg = f"found --{name} {count}, expected 1 or more"
            raise OptionsError(msg)
    if chosen.device == CUDA and not torch.cuda.is_available():
        msg = "found no CUDA device, expected one since --device cuda asks for it"
        raise OptionsError(msg)
    protocol = chosen.protocol
    if protocol == AUTO:
        first = task.cases[0].fixed.scan
        as_stored = PAIR in task.groups or choose_intensity(first.load().image).modality == "ct"
        protocol = AS_IS if as_stored else PAPER
    threads = chosen.threads or max(1, cores() // chosen.workers)
    cuda = chosen.device != "cpu" and torch.cuda.is_available()
    return Setting(chosen.out, Inputs(chosen.out / PREPARED, protocol), threads, cuda)


def note_of(
    chosen: Namespace, task: Task, setting: Setting, methods: Mapping[str, Method | None], words: list[str]
) -> RunNote:
    """What the report says of the run."""
    from ..provenance import command  # here, since it loads Lightning, and methods' processes import this file too

    lattice = setting.inputs.scan(task.cases[0].fixed).image.lattice
    return RunNote(
        command=command(words),
        methods={name: method_note(name, method) for name, method in methods.items()},
        cohort=task.name,
        one_pair=PAIR in task.groups,
        synthetic=task.synthetic,
        protocol=setting.inputs.protocol,
        lattice_shape=list(lattice.shape),
        spacing_mm=[float(mm) for mm in lattice.spacing_mm],
        threads=setting.threads,
        workers=chosen.workers,
        seed=chosen.seed,
        machine=machine(),
        versions=versions(),
        combinations=len(task.cases),
        drawn=sum(case.group == DRAWN for case in task.cases),
    )


def method_note(name: str, method: Method | None) -> MethodNote:
    """What the report says of a method."""
    if method is None:
        return MethodNote(OWN_ROWS[name], costly=False, settings={})
    return MethodNote(method.title, method.costly, method.settings)


def with_reasons(note: RunNote, absent: Mapping[str, str]) -> RunNote:
    """The note with the reasons why methods could not run; those of earlier runs stay."""
    methods = {name: replace(method, missing=absent.get(name, method.missing)) for name, method in note.methods.items()}
    return replace(note, methods=methods)


def chosen_methods(words: str | None, known: Mapping[str, Method]) -> dict[str, Method | None]:
    """The rows that are asked for, in the tables' order; ``unregistered`` and ``affine`` always are.

    Args:
        words: Names, separated by commas; None for all.
        known: All methods.

    Raises:
        OptionsError: A name that isn't known.
    """
    wanted = set(known) if words is None else {word.strip() for word in words.split(",")}
    unknown = wanted - {*known, *OWN_ROWS}
    if unknown:
        msg = f"found --methods {', '.join(sorted(unknown))}, expected some of {', '.join(known)}"
        raise OptionsError(msg)
    return {**dict.fromkeys(OWN_ROWS), **{name: method for name, method in known.items() if name in wanted}}
