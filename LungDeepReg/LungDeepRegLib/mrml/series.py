"""A 4D image whose phases are registered to one of them: what is asked of the worker, and where the results are.

The results are sequences with the index values of the 4D image's own, in its own browser: whoever plays it sees them in
step. One phase is published at a time, so that whatever has been registered is kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import slicer

from ..displacement_field import DisplacementField
from ..volume import Volume, canonical
from .changes import Changes, all_or_nothing
from .display import show_like
from .made_of import MadeOf, checksum
from .outputs import RESULT_ATTRIBUTE, ROLE_PREFIX
from .sequences import check_sequence, check_steady, master_sequence, phase_image, phases
from .transforms import grid_from_field
from .volumes import NodeError, image_data, volume_from_node, vtk_matrix, world_matrix

SERIES_ATTRIBUTE = f"{ROLE_PREFIX}series"
"""JSON on the sequence of transforms: the reference's index value, and for each phase's what it was made of."""
SOURCE_ROLE = f"{ROLE_PREFIX}source"
"""A sequence of results refers to the 4D image's sequence by it."""
CLASSES = {"transform": "vtkMRMLTransformNode", "warped": "vtkMRMLScalarVolumeNode"}
TITLES = {"transform": ("Transforms", "Transform"), "warped": ("Deformed volumes", "Deformed")}
"""What the name of a sequence of results starts with, and that of the node by which a browser shows it."""


@dataclass(frozen=True)
class Series:
    """A 4D image and the phase to which the others are registered.

    Attributes:
        browser: Whose master sequence counts the phases.
        sequence: Of the images, one of the browser's.
        reference: The index value of the phase that stays.

    Raises:
        NodeError: As :func:`sequences.phases` and :func:`sequences.check_sequence`; a reference that is no phase, or no
            image that could be registered; volumes below a transform that is non-linear or changes from phase to phase.
    """

    browser: slicer.vtkMRMLSequenceBrowserNode
    sequence: slicer.vtkMRMLSequenceNode
    reference: str
    _checksums: dict[tuple[str, int], int] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_sequence(self.browser, self.sequence)
        check_steady(self.browser, self.browser.GetProxyNode(self.sequence))
        self.image(self.reference)

    @property
    def values(self) -> list[str]:
        """The index values of the phases, in their order."""
        master = master_sequence(self.browser)
        return [master.GetNthIndexValue(index) for index in range(master.GetNumberOfDataNodes())]

    def title(self, value: str) -> str:
        """A phase for people, such as ``10 %``."""
        return phases(self.browser)[self._number(value)]

    def image(self, value: str) -> Volume:
        """A phase's image, which shows the sequence's own memory, where the browser shows it in the world.

        Raises:
            NodeError: No image at that phase, or none that can be registered.
            VolumeError: An image of a single slice.
        """
        node = phase_image(self.browser, self.sequence, self._number(value))
        shown = self.browser.GetProxyNode(self.sequence)
        volume = volume_from_node(node, copy=False)
        above = world_matrix(shown) if shown is not None else np.eye(4)
        return Volume(volume.array, above @ volume.ijk_to_ras, f"{self.sequence.GetName()} {self.title(value)}")

    def made_of(self, value: str, settings: dict[str, Any]) -> MadeOf:
        """What a phase's results would be made of now."""
        fixed, moving = (canonical(self.image(at)).lattice for at in (self.reference, value))
        return MadeOf((fixed, moving), (self._checksum(self.reference), self._checksum(value)), settings)

    def results(self, name: str) -> slicer.vtkMRMLSequenceNode | None:
        """The sequence of ``transform`` or ``warped`` results for this reference, while it is in the scene."""
        scene = self.browser.GetScene()
        for index in range(scene.GetNumberOfNodesByClass("vtkMRMLSequenceNode")):
            node = scene.GetNthNodeByClass(index, "vtkMRMLSequenceNode")
            ours = node.GetAttribute(RESULT_ATTRIBUTE) == f"series {name}"
            if (
                ours
                and node.GetNodeReference(SOURCE_ROLE) is self.sequence
                and content(node)["reference"] == self.reference
            ):
                return node
        return None

    def result_name(self, what: str) -> str:
        """The name of a node of results."""
        return f"{what} {self.sequence.GetName()} to {self.title(self.reference)}"

    def _checksum(self, value: str) -> int:
        """Of a phase's voxels, kept as long as these don't change."""
        voxels = phase_image(self.browser, self.sequence, self._number(value)).GetImageData()
        key = value, voxels.GetMTime()
        if key not in self._checksums:
            self._checksums[key] = checksum(canonical(self.image(value)))
        return self._checksums[key]

    def _number(self, value: str) -> int:
        if value not in self.values:
            msg = f"{self.browser.GetName()}: found no phase {value!r}, expected one of {', '.join(self.values)}"
            raise NodeError(msg)
        return self.values.index(value)


@dataclass(frozen=True, eq=False)
class PhaseResult:
    """A phase that was registered to the reference.

    Attributes:
        field: phi, reference RAS mm to that phase's RAS mm.
        warped: The phase's image on the reference's voxels, or None where it isn't wanted.
        made_of: The images and settings behind it.
        figures: What is to be remembered of its summary.
    """

    field: DisplacementField
    warped: Volume | None
    made_of: MadeOf
    figures: dict[str, Any]


def content(results: slicer.vtkMRMLSequenceNode | None) -> dict[str, Any]:
    """What a sequence of results says of itself."""
    found = results.GetAttribute(SERIES_ATTRIBUTE) if results is not None else None
    return json.loads(found) if found else {"reference": None, "phases": {}}


def registered_phases(series: Series, *, warped: bool) -> dict[str, tuple[MadeOf, dict[str, Any]]]:
    """The phases whose results are in the scene, by index value: what they were made of, and their figures.

    Args:
        series: The 4D image and its reference.
        warped: Whether a phase without a deformed volume doesn't count.
    """
    transforms, volumes = series.results("transform"), series.results("warped")
    needed = [transforms, volumes] if warped else [transforms]
    return {
        value: (MadeOf.from_plain(entry["made_of"]), entry["figures"])
        for value, entry in content(transforms)["phases"].items()
        if all(node is not None and node.GetDataNodeAtValue(value) is not None for node in needed)
    }


def up_to_date(series: Series, value: str, known: MadeOf) -> bool:
    """Whether what a phase's results were made of is still there, whatever the settings were."""
    try:
        return series.made_of(value, known.settings) == known
    except ValueError:  # the image is gone, or is none that can be registered
        return False


def publish_phase(series: Series, value: str, result: PhaseResult) -> None:
    """Put a phase's results into the series' sequences, which are made with the first one; earlier ones are replaced.

    The first phase brings the reference with it: no displacement, and its own image. Where anything fails, the scene is
    as it was.

    Raises:
        NodeError: The phase or the reference is no longer what was registered.
    """
    if series.made_of(value, result.made_of.settings) != result.made_of:
        msg = (
            f"{series.sequence.GetName()} {series.title(value)}: found another image, or one that lies elsewhere, than"
            " what was registered, expected no change meanwhile; register it again"
        )
        raise NodeError(msg)
    own = series.made_of(series.reference, result.made_of.settings)
    known = registered_phases(series, warped=result.warped is not None).get(series.reference)
    entries = [(value, result)]
    if known is None or known[0] != own:
        still = DisplacementField(np.zeros_like(result.field.vectors), result.field.lattice)
        unmoved = series.image(series.reference) if result.warped is not None else None
        entries.insert(0, (series.reference, PhaseResult(still, unmoved, own, {})))
    ready = [(at, nodes_of(entry), entry) for at, entry in entries]  # all memory is taken before the scene is touched
    with shown_once(series.browser), all_or_nothing(series.browser.GetScene()) as changes:
        for at, nodes, entry in ready:
            for name, node in nodes.items():
                put(changes, series, name, node, at)
            remember(changes, series, at, entry)


@contextmanager
def shown_once(browser: slicer.vtkMRMLSequenceBrowserNode) -> Iterator[None]:
    """A browser shows what changed once, at the end: each time it copies everything that it shows."""
    modifying = browser.StartModify()
    try:
        yield
    finally:
        browser.EndModify(modifying)


def nodes_of(result: PhaseResult) -> dict[str, slicer.vtkMRMLNode]:
    """The results as nodes of no scene."""
    transform = slicer.vtkMRMLTransformNode()
    transform.SetAndObserveTransformFromParent(grid_from_field(result.field))
    if result.warped is None:
        return {"transform": transform}
    volume = slicer.vtkMRMLScalarVolumeNode()
    volume.SetIJKToRASMatrix(vtk_matrix(result.warped.ijk_to_ras))
    volume.SetAndObserveImageData(image_data(result.warped.array))
    return {"transform": transform, "warped": volume}


def put(changes: Changes, series: Series, name: str, node: slicer.vtkMRMLNode, value: str) -> None:
    """A result at an index value of its sequence, whose data node shares the memory of ``node``."""
    results = series.results(name)
    fresh = results is None
    if results is None:
        results = new_results(changes, series, name)
    before = results.GetDataNodeAtValue(value)
    if before is None:
        changes.undo.callback(results.RemoveDataNodeAtValue, value)
    else:
        changes.undo.callback(results.SetDataNodeAtValue, before, value)
    modifying = results.StartModify()
    results.SetDataNodeAtValue(type(node)(), value)  # empty: what is in it would be copied
    results.UpdateDataNodeAtValue(node, value, True)
    results.GetDataNodeAtValue(value).SetName(f"{results.GetName()} {series.title(value)}")
    results.EndModify(modifying)
    if fresh:
        browse(changes, series, name, results)


def new_results(changes: Changes, series: Series, name: str) -> slicer.vtkMRMLSequenceNode:
    """An empty sequence with the 4D image's index, beside it."""
    master = master_sequence(series.browser)
    results = changes.new_node("vtkMRMLSequenceNode", series.result_name(TITLES[name][0]))
    results.SetIndexName(master.GetIndexName())
    results.SetIndexUnit(master.GetIndexUnit())
    results.SetIndexType(master.GetIndexType())
    results.SetNumericIndexValueTolerance(master.GetNumericIndexValueTolerance())
    changes.mark(results, RESULT_ATTRIBUTE, f"series {name}")
    changes.mark(results, SERIES_ATTRIBUTE, json.dumps({"reference": series.reference, "phases": {}}))
    changes.set_reference(results, SOURCE_ROLE, series.sequence)
    changes.put_beside(results, series.sequence)
    return results


def browse(changes: Changes, series: Series, name: str, results: slicer.vtkMRMLSequenceNode) -> None:
    """Let the 4D image's browser show a sequence of results too, by a node of ours; nothing at missing phases.

    The browser would make a node itself if it were told of the sequence alone, see :func:`shown_once`.
    """
    browser, shown = series.browser, series.browser.GetProxyNode(series.sequence)
    proxy = changes.new_node(CLASSES[name], series.result_name(TITLES[name][1]))
    if name == "warped":
        changes.show(proxy)
        if shown is not None:
            show_like(proxy, shown)
    changes.undo.callback(browser.RemoveSynchronizedSequenceNode, results.GetID())
    browser.AddSynchronizedSequenceNode(results)
    browser.SetMissingItemMode(results, browser.MissingItemSetToDefault)
    browser.SetOverwriteProxyName(results, False)
    browser.SetSaveChanges(results, False)
    browser.AddProxyNode(proxy, results, False)
    changes.put_beside(proxy, series.sequence)


def remember(changes: Changes, series: Series, value: str, result: PhaseResult) -> None:
    """Note on the sequence of transforms what a phase was made of."""
    transforms = series.results("transform")
    known = content(transforms)
    known["phases"][value] = {"made_of": result.made_of.plain(), "figures": result.figures}
    changes.mark(transforms, SERIES_ATTRIBUTE, json.dumps(known))
