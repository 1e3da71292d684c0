"""What a registration found, or any transformation does: figures, files and a picture.

:func:`evaluate` judges a transformation; :func:`write_result` makes the folder of results of the command line.
Names are loaded when they are first used: :mod:`staging` and :mod:`summary` work where torch isn't loaded.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .evaluation import Evaluation as Evaluation
    from .evaluation import evaluate as evaluate
    from .folder import write_result as write_result
    from .output_files import FORMATS as FORMATS
    from .output_files import Findings as Findings
    from .output_files import inverse_of as inverse_of
    from .pair import Pair as Pair
    from .staging import OutputError as OutputError
    from .summary import SCHEMA as SCHEMA
    from .summary import Run as Run
    from .summary import schema_table as schema_table

HOMES = {
    "FORMATS": "output_files",
    "SCHEMA": "summary",
    "Evaluation": "evaluation",
    "Findings": "output_files",
    "OutputError": "staging",
    "Pair": "pair",
    "Run": "summary",
    "evaluate": "evaluation",
    "inverse_of": "output_files",
    "schema_table": "summary",
    "write_result": "folder",
}
__all__ = list(HOMES)


def __getattr__(name: str) -> Any:
    """A public name of the results, from the file that it lives in."""
    if name not in HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f".{HOMES[name]}", __name__), name)
