"""One registration of two nodes: what is asked of the worker, and what becomes of its answer."""

from dataclasses import dataclass, fields, replace
from typing import Any

from slicer.i18n import tr as _

from .settings import engineOptions, engineWeights, whatWeightsLack

OUTPUTS = {
    "transform": "transform",
    "warpedVolume": "warped",
    "differenceVolume": "difference",
    "jacobianVolume": "jacobian",
    "coverageVolume": "coverage",
    "lungsVolume": "lungs",
}
"""The parameter that holds an output's node, and the field of :class:`mrml.ResultNodes` that it is."""
NEEDING_LUNGS = ("transform", "jacobianVolume")
"""The outputs that bring the fixed image's lungs with them; there is nothing to tick for these."""


def whatIsMissing(parameters: Any) -> str:
    """What the user has to do before the registration can start; nothing if it can."""
    fixed, moving = parameters.fixedVolume, parameters.movingVolume
    if fixed is None:
        return _("Choose a fixed volume (exhale or baseline)")
    if moving is None:
        return _("Choose a moving volume (inhale or follow-up)")
    if fixed is moving:
        return _("Choose two different volumes: fixed and moving are both {name}").format(name=fixed.GetName())
    if not any(isWanted(parameters, name) for name in OUTPUTS):
        return _("Tick at least one output")
    return whatWeightsLack(parameters)


def isWanted(parameters: Any, name: str) -> bool:
    """Whether an output is to be made."""
    if name == "lungsVolume":
        return any(isWanted(parameters, other) for other in NEEDING_LUNGS)
    return getattr(parameters, f"{name}Wanted")


@dataclass(frozen=True)
class Registration:
    """Two nodes that are being registered, as they were chosen when it started."""

    fixed: Any
    moving: Any
    outputs: Any
    request: dict[str, Any]

    @classmethod
    def of(cls, parameters: Any) -> "Registration":
        """Take everything that is needed from a parameter node; the images are handed over later, from their memory.

        Raises:
            NodeError: A node that can't be used, by name.
        """
        from LungDeepRegLib import mrml

        fixed, moving = parameters.fixedVolume, parameters.movingVolume
        fixedImage, movingImage = (mrml.volume_from_node(node, copy=False) for node in (fixed, moving))
        request = {
            "fixed": fixedImage,
            "moving": movingImage,
            "fixed_mask": maskOf(parameters.fixedMask, parameters.fixedSegment, fixedImage),
            "moving_mask": maskOf(parameters.movingMask, parameters.movingSegment, movingImage),
            "options": engineOptions(parameters),
            "weights": engineWeights(parameters),
        }
        return cls(fixed, moving, outputsOf(parameters), request)

    def publish(self, outcome: Any) -> Any:
        """Show the worker's answer in the scene: :class:`mrml.ResultNodes`.

        An output node that was removed meanwhile is replaced by a new one.

        Raises:
            NodeError: The scene has changed in a way that forbids it; nothing is left half-made.
        """
        from LungDeepRegLib import mrml

        chosen = {entry.name: getattr(self.outputs, entry.name) for entry in fields(self.outputs)}
        gone = [name for name, output in chosen.items() if output and output.node and output.node.GetScene() is None]
        outputs = replace(self.outputs, **{name: mrml.Output() for name in gone})
        return mrml.publish(outcome, self.fixed, self.moving, outputs)


def maskOf(node: Any, segmentId: str, image: Any) -> Any:
    """The label volumes of a mask, or None where none is chosen."""
    from LungDeepRegLib import mrml

    if node is None:
        return None
    return mrml.label_volumes(node, image, [segmentId] if segmentId and node.IsA("vtkMRMLSegmentationNode") else None)


def outputsOf(parameters: Any) -> Any:
    """Which results are wanted, and the nodes that receive them.

    Lungs that are a mask by now, maybe edited by the user, get no others in their place: inputs stay as they are.
    """
    from LungDeepRegLib import mrml

    masks = parameters.fixedMask, parameters.movingMask
    nodes = {name: getattr(parameters, name) for name in OUTPUTS}
    free = {name: None if node in masks else node for name, node in nodes.items()}
    return mrml.Outputs(
        **{field: mrml.Output(free[name]) if isWanted(parameters, name) else None for name, field in OUTPUTS.items()}
    )


def resultOf(parameters: Any) -> Any:
    """The results that the panel shows, as :class:`mrml.ResultNodes`; also in a scene that was loaded."""
    from LungDeepRegLib import mrml

    if parameters.transform is not None:
        return mrml.result_nodes(parameters.transform)
    nodes = {field: getattr(parameters, name) for name, field in OUTPUTS.items()}
    before = mrml.difference_before(nodes["difference"])
    return mrml.ResultNodes(
        fixed=parameters.fixedVolume, moving=parameters.movingVolume, difference_before=before, **nodes
    )


def foundAgain(fixed: Any, moving: Any) -> tuple[Any, dict[str, Any]] | None:
    """The result that a pair has in the scene, :class:`mrml.ResultNodes`, with its figures; None if it has none."""
    if fixed is None or moving is None:
        return None
    from LungDeepRegLib import mrml

    return mrml.result_of(fixed, moving)


def keepOutputs(parameters: Any, nodes: Any) -> None:
    """Let the panel show the nodes that were made, so that the next registration of this pair updates them.

    A result that wasn't wanted this time is let go: what stands in it belongs to an earlier registration.
    """
    for name, field in OUTPUTS.items():
        setattr(parameters, name, getattr(nodes, field))


def forget(parameters: Any, node: Any) -> None:
    """Let go of a node that is about to be removed, wherever it is chosen.

    Slicer's node boxes would select a neighbor in its place, and a registration would overwrite that.
    """
    for name in ("fixedVolume", "movingVolume", "fixedMask", "movingMask", *OUTPUTS):
        if getattr(parameters, name) is node:
            setattr(parameters, name, None)


def releaseOutputs(parameters: Any) -> None:
    """Let go of the results of an earlier pair: another pair gets nodes of its own, nothing is overwritten."""
    for name in OUTPUTS:
        setattr(parameters, name, None)
