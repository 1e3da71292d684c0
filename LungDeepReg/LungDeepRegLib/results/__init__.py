"""What a registration found, or any transformation does: figures, files and a picture.

:func:`evaluate` judges a transformation; :func:`write_result` makes the folder of results of the command line.
"""

from .evaluation import Evaluation, evaluate
from .folder import write_result
from .output_files import FORMATS, Findings, inverse_of
from .pair import Pair
from .staging import OutputError
from .summary import SCHEMA, Run, schema_table, summary

__all__ = [
    "FORMATS",
    "SCHEMA",
    "Evaluation",
    "Findings",
    "OutputError",
    "Pair",
    "Run",
    "evaluate",
    "inverse_of",
    "schema_table",
    "summary",
    "write_result",
]
