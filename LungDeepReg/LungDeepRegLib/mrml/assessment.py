"""What was found out about a registration afterwards, as nodes of the scene: maps, regions, the way back."""

from __future__ import annotations

import colorsys
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import slicer

from ..displacement_field import DisplacementField
from ..quality import NOT_MEASURED
from ..volume import Volume
from .changes import Changes, all_or_nothing
from .display import hide_unmeasured, show_between, show_diverging
from .outputs import (
    ASSESSMENT_CLASSES,
    RESULT_ATTRIBUTE,
    ROLE_PREFIX,
    RUN_ATTRIBUTE,
    ResultNodes,
    referred,
    result_nodes,
)
from .publish import ReadyVolume, place_transform, place_volume
from .transforms import field_from_grid, grid_from_field, own_grid
from .volumes import NodeError, image_data, vtk_matrix

INHALE_ATTRIBUTE = f"{ROLE_PREFIX}inhale"
"""Of maps of ventilation: ``fixed`` or ``moving``, the image that is the inhaled one; missing where nobody said."""
UNIT_ATTRIBUTE = f"{ROLE_PREFIX}unit"
"""Of maps whose values have a unit."""
TITLES = {
    "trust": "Trust",
    "residual": "Residual",
    "correlation": "Correlation",
    "consistency": "There and back",
    "ventilation": "Ventilation",
    "ventilation_density": "Ventilation by density",
    "regions": "Regions",
    "backward": "Transform back",
    "lungs": "Lungs",
}
"""What a new node's name starts with."""
FIGURES_ATTRIBUTE = f"{ROLE_PREFIX}assessment"
"""Of the transform: what :func:`assessed` gives, as JSON."""
FIGURES = ("figures", "region_figures", "region_names", "warnings")
PERCENTILE = 95.0
Show = Callable[[slicer.vtkMRMLScalarVolumeNode], None]


def publish_assessment(
    answer: Mapping[str, Any], transform: slicer.vtkMRMLTransformNode, run: str | None
) -> ResultNodes:
    """Put what the worker's task ``assess`` found into the scene, beside the transform's other results.

    Nodes of an earlier assessment of the same transform are used again and keep their names, places and the way they
    are displayed; a map that there isn't any more is no result any more, its node stays. Maps hold
    :data:`quality.NOT_MEASURED` where nothing is known, which isn't drawn. Where anything fails, the scene is as it
    was.

    Args:
        answer: As :mod:`worker.assess_task` says.
        transform: What was assessed.
        run: What ``transform`` had as :data:`outputs.RUN_ATTRIBUTE` when the task was started.

    Raises:
        NodeError: The transform, or its fixed or moving image, was removed, or it holds another registration by now.
    """
    nodes = checked_result(transform, run)
    assert nodes.fixed is not None
    assert nodes.moving is not None
    fixed, moving = nodes.fixed.GetName(), nodes.moving.GetName()
    volumes = answered_volumes(answer, with_lungs=nodes.lungs is None)
    ready = {name: ready_volume(name, volume) for name, volume in volumes.items() if volume is not None}
    back = answer.get("backward")
    grid = None if back is None else grid_from_field(back)
    names = {name: f"{title} {moving} to {fixed}" for name, title in TITLES.items()}
    names |= {name: f"{TITLES[name]} {fixed}" for name in ("regions", "lungs")}
    names["backward"] = f"{TITLES['backward']} {fixed} to {moving}"
    fresh = referred(transform, "regions") is None
    with all_or_nothing(transform.GetScene()) as changes:
        for name in (*ASSESSMENT_CLASSES, "lungs"):
            old = referred(transform, name)
            if name in ready:
                kind = ASSESSMENT_CLASSES.get(name, "vtkMRMLLabelMapVolumeNode")
                node = place_volume(changes, ready[name], old, kind, names[name], nodes.fixed)
            elif name == "backward" and grid is not None:
                node = place_transform(changes, grid, old, names[name], nodes.fixed)
                refer_back(changes, node, nodes)
            else:
                if old is not None and name in ASSESSMENT_CLASSES:
                    changes.mark(old, RUN_ATTRIBUTE, "")
                continue
            changes.mark(node, RESULT_ATTRIBUTE, name)
            changes.mark(node, RUN_ATTRIBUTE, run)
            changes.set_reference(transform, f"{ROLE_PREFIX}{name}", node)
        mark_meaning(changes, transform, answer["figures"])
        figures = {"run": run, **{name: answer[name] for name in FIGURES}}
        changes.mark(transform, FIGURES_ATTRIBUTE, json.dumps(figures))
        if fresh:
            name_regions(changes, referred(transform, "regions"), answer["region_names"])
    return result_nodes(transform)


def assessed(transform: slicer.vtkMRMLTransformNode | None) -> dict[str, Any] | None:
    """The figures of the assessment of what a transform holds now, or None; also after reloading.

    Returns:
        ``figures``, ``region_figures``, ``region_names`` and ``warnings`` as :mod:`worker.assess_task` says.
    """
    text = None if transform is None else transform.GetAttribute(FIGURES_ATTRIBUTE)
    if transform is None or not text:
        return None
    found: dict[str, Any] = json.loads(text)
    return found if found.pop("run") == transform.GetAttribute(RUN_ATTRIBUTE) else None


def checked_result(transform: slicer.vtkMRMLTransformNode, run: str | None) -> ResultNodes:
    """The nodes of what was assessed; refused where that isn't in the scene any more."""
    nodes, found = result_nodes(transform), f"{transform.GetName()}: found"
    if nodes.transform is None:
        msg = f"{found} that it was removed from the scene, expected the transform that was assessed"
        raise NodeError(msg)
    for name, node in (("fixed", nodes.fixed), ("moving", nodes.moving)):
        if node is None:
            msg = f"{found} no {name} image that it belongs to, expected the one that was assessed"
            raise NodeError(msg)
    if transform.GetAttribute(RUN_ATTRIBUTE) != run:
        msg = f"{found} another registration in it than the one that was assessed, expected the same; assess again"
        raise NodeError(msg)
    return nodes


def answered_volumes(answer: Mapping[str, Any], *, with_lungs: bool) -> dict[str, Volume | None]:
    """The maps by their names in :class:`ResultNodes`, None where one couldn't be made."""
    maps, ventilation = answer["maps"], answer["ventilation"]
    volumes = {name: maps[name] for name in ("trust", "residual", "correlation", "consistency")}
    volumes |= {"ventilation": ventilation["jacobian"], "ventilation_density": ventilation["density"]}
    return volumes | {"regions": answer["regions"]} | ({"lungs": answer["lungs"]} if with_lungs else {})


def ready_volume(name: str, volume: Volume) -> ReadyVolume:
    """A map as it is put into a node."""
    image, matrix = image_data(volume.array), vtk_matrix(volume.ijk_to_ras)
    if name in ("regions", "lungs"):
        return ReadyVolume(image, matrix, lambda node: None)
    return ReadyVolume(image, matrix, way_to_show(name, volume.array[volume.array != NOT_MEASURED]))


def way_to_show(name: str, values: np.ndarray) -> Show:
    """How a new node shows a map of these values ``(N,)``."""
    highest = float(np.percentile(np.abs(values), PERCENTILE)) if values.size else 1.0

    def show(node: slicer.vtkMRMLScalarVolumeNode) -> None:
        if name.startswith("ventilation"):
            show_diverging(node, 0.0, highest)
        else:
            show_between(node, 0.0, 1.0 if name in ("trust", "correlation") else highest)
        hide_unmeasured(node.GetDisplayNode())

    return show


def refer_back(changes: Changes, backward: slicer.vtkMRMLTransformNode, nodes: ResultNodes) -> None:
    """The way back goes from the moving image, which is its fixed one."""
    changes.set_reference(backward, backward.GetFixedNodeReferenceRole(), nodes.moving)
    changes.set_reference(backward, backward.GetMovingNodeReferenceRole(), nodes.fixed)


def mark_meaning(changes: Changes, transform: slicer.vtkMRMLTransformNode, figures: Mapping[str, Any]) -> None:
    """Let the maps say how their values are to be read."""
    meanings = {name: (INHALE_ATTRIBUTE, figures.get("inhale")) for name in ("ventilation", "ventilation_density")}
    meanings |= {"residual": (UNIT_ATTRIBUTE, figures.get("residual_unit")), "consistency": (UNIT_ATTRIBUTE, "mm")}
    for name, (attribute, value) in meanings.items():
        node = referred(transform, name)
        if node is not None:
            changes.mark(node, attribute, value)


def name_regions(changes: Changes, regions: slicer.vtkMRMLLabelMapVolumeNode, names: Sequence[str]) -> None:
    """Let label ``n`` of a new label map read ``names[n - 1]``, by a color table of its own."""
    colors = changes.new_node("vtkMRMLColorTableNode", regions.GetName())
    colors.SetTypeToUser()
    colors.SetNumberOfColors(len(names) + 1)
    colors.SetColor(0, "outside", 0.0, 0.0, 0.0, 0.0)
    for label, name in enumerate(names, start=1):
        colors.SetColor(label, name, *region_color(label - 1, len(names)), 1.0)
    regions.GetDisplayNode().SetAndObserveColorNodeID(colors.GetID())


def region_color(index: int, count: int) -> tuple[float, float, float]:
    """Warm for the first half of the regions (one lung), cold for the other, brighter region by region."""
    half = max(1, count // 2)
    hue = 0.05 if index < half else 0.55
    return colorsys.hsv_to_rgb(hue, 0.75, 0.5 + 0.5 * (index % half + 1) / half)


def backward_field(nodes: ResultNodes) -> DisplacementField | None:
    """The registration of the swapped pair, if it was made of the same run: moving RAS mm to fixed RAS mm."""
    grid = None if nodes.backward is None else own_grid(nodes.backward)
    return None if grid is None else field_from_grid(grid)
