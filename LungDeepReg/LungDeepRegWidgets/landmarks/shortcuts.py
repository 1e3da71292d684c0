"""Keys that let a reviewer leave the mouse in the views."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt


class Shortcuts:
    """Keys of the whole window, while the panel is seen and they are enabled.

    Qt gives letters to a text that is being edited first.

    Args:
        parent: A widget of the panel: the keys work while it is seen.
        actions: What each key does.
    """

    def __init__(self, parent: Any, actions: dict[str, Callable[[], None]]) -> None:
        self._shortcuts: dict[str, Any] = {}
        for key, action in actions.items():
            shortcut = qt.QShortcut(qt.QKeySequence(key), parent)
            shortcut.connect("activated()", action)
            self._shortcuts[key] = shortcut

    def enable(self, keys: set[str]) -> None:
        """Let only these work."""
        for key, shortcut in self._shortcuts.items():
            shortcut.setEnabled(key in keys)
