"""One assessment of a result: what is asked of the worker, and what becomes of its answer."""

import json
from dataclasses import dataclass
from typing import Any

from slicer.i18n import tr as _

from ..registration import maskOf


def whatAssessingLacks(nodes: Any) -> str:
    """What the user has to do before a result can be assessed; nothing if it can."""
    if nodes is None:
        return _("Register first, or choose a pair that is registered")
    if nodes.fixed is None or nodes.moving is None:
        return _("The fixed or the moving volume isn't in the scene any more")
    if nodes.transform is None:
        return _("Needs the displacement field: tick it under Outputs and register again")
    return ""


def inhaledOf(parameters: Any) -> str | None:
    """Which image is the inhaled one, ``fixed`` or ``moving``; None if the user doesn't say."""
    return parameters.inhale.engineName or None


@dataclass(frozen=True)
class AssessmentRun:
    """A result that is being assessed, as it was when that started.

    Attributes:
        nodes: The result, ``mrml.ResultNodes``.
        run: Which of the registrations that the transform may hold one after the other.
        request: For the worker's task ``assess``.
    """

    nodes: Any
    run: str | None
    request: dict[str, Any]

    @classmethod
    def of(cls, parameters: Any, nodes: Any, *, backward: bool) -> "AssessmentRun":
        """Take everything that is needed; images are handed over later, from the nodes' memory.

        Args:
            parameters: The module's parameter node.
            nodes: The result, complete as :func:`whatAssessingLacks` says.
            backward: Whether to register the swapped pair, with the settings of this result, and compare.

        Raises:
            NodeError: A node that can't be used, by name.
        """
        from LungDeepRegLib import mrml
        from LungDeepRegLib.mrml.outputs import RUN_ATTRIBUTE

        fixed, moving = (mrml.volume_from_node(node, copy=False) for node in (nodes.fixed, nodes.moving))
        fixedMask = (nodes.lungs, "") if nodes.lungs is not None else (parameters.fixedMask, parameters.fixedSegment)
        settings = json.loads(parameters.summary)["options"] if parameters.summary else {}
        weights = settings.pop("weights", "bundled")
        request = {
            "fixed": fixed,
            "moving": moving,
            "fixed_mask": maskOf(*fixedMask, fixed),
            "moving_mask": maskOf(parameters.movingMask, parameters.movingSegment, moving),
            "field": mrml.field_from_node(nodes.transform, fixed.lattice),
            "modality": parameters.modality.engineName,
            "inhale": inhaledOf(parameters),
            "backward": backward,
            "backward_field": None if backward else mrml.backward_field(nodes),
            "options": settings,
            "weights": weights,
        }
        return cls(nodes, nodes.transform.GetAttribute(RUN_ATTRIBUTE), request)

    def uses(self, node: Any) -> bool:
        """Whether a node is one of those that are being assessed."""
        return any(node is used for used in (self.nodes.fixed, self.nodes.moving, self.nodes.transform))

    def publish(self, answer: Any) -> Any:
        """Show the worker's answer in the scene: :class:`mrml.ResultNodes`.

        Raises:
            NodeError: The result was removed or replaced meanwhile; nothing is left half-made.
        """
        from LungDeepRegLib import mrml

        return mrml.publish_assessment(answer, self.nodes.transform, self.run)
