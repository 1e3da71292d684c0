"""What the module's widget asks of its panels."""

from typing import Any


class Panel:
    """A part of the module's widget, with a user interface and state of its own.

    Attributes:
        widget: What is added to the module's layout.
    """

    widget: Any

    def setParameters(self, parameters: Any) -> None:
        """Show another scene's parameter node; None while the scene closes or is imported to: let go of it."""

    def setResult(self, nodes: Any) -> None:
        """Show another result, ``mrml.ResultNodes``, or None without one."""

    def forget(self, node: Any) -> None:
        """Let go of a node that is about to be removed from the scene."""

    def cancel(self) -> None:
        """Stop at once what is running: the scene closes, or the module is unloaded."""

    def leave(self) -> None:
        """End what needs the user's clicks: another module is opened. The views are given back by the widget."""
