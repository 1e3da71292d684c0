"""Stands in for ``slicer.i18n``."""

from types import ModuleType


def tr(text: str) -> str:
    """The text itself."""
    if not isinstance(text, str):
        msg = f"a text expected, found {text!r}"
        raise TypeError(msg)
    return text


def translate(_context: str, text: str) -> str:
    """The text itself."""
    return tr(text)


def make_module() -> ModuleType:
    """The module ``slicer.i18n``."""
    module = ModuleType("slicer.i18n")
    module.tr, module.translate = tr, translate
    return module
