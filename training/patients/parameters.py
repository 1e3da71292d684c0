"""All that the synthetic patients are drawn from: one file, committed before any method was scored on them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..errors import TrainingError

FROZEN = Path(__file__).with_name("frozen.toml")

Section = TypeVar("Section")


class ParametersError(TrainingError):
    """A file of parameters that doesn't say what is needed."""


@dataclass(frozen=True)
class Parameters:
    """The content of such a file.

    Attributes:
        origin: The file, for messages.
        seed: Chooses all patients.
        tables: The file's tables by name.
    """

    origin: str
    seed: int
    tables: Mapping[str, Mapping[str, Any]]

    def section(self, name: str, kind: type[Section]) -> Section:
        """One table as the dataclass that describes it: exactly its fields, lists as tuples.

        Raises:
            ParametersError: No such table, a name missing or unknown, or a value of another kind than numbers.
        """
        table = self.tables.get(name, {})
        expected = [field.name for field in fields(kind)]  # type: ignore[arg-type]
        if sorted(table) != sorted(expected):
            msg = f"{self.origin}: found {sorted(table)} in [{name}], expected {sorted(expected)}"
            raise ParametersError(msg)
        return kind(**{key: self._value(f"{name}.{key}", value) for key, value in table.items()})

    def generator(self, number: int, *stream: int) -> np.random.Generator:
        """The random numbers of patient 0, 1, ...; streams are independent, so that one more draw changes no other."""
        return np.random.default_rng([self.seed, number, *stream])

    def redrawn(self, seed: int | None, times: int) -> Parameters:
        """The same but for the seed, if one is given, and ``times`` as many patients in each of the cohort's groups."""
        cohort = {name: times * count for name, count in self.tables.get("cohort", {}).items()}
        return replace(self, seed=self.seed if seed is None else seed, tables={**self.tables, "cohort": cohort})

    def _value(self, name: str, value: Any) -> Any:
        if isinstance(value, list):
            return tuple(self._value(name, item) for item in value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            msg = f"{self.origin}: found {value!r} as {name}, expected numbers"
            raise ParametersError(msg)
        return value


def read_parameters(path: Path = FROZEN) -> Parameters:
    """Read a file of parameters, by default the frozen ones.

    Raises:
        ParametersError: A file that is missing or no TOML, or without a seed.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        msg = f"{path}: found no parameters ({error}), expected a TOML file"
        raise ParametersError(msg) from error
    seed = content.pop("seed", None)
    if not isinstance(seed, int) or seed < 0 or not all(isinstance(table, dict) for table in content.values()):
        msg = f"{path}: found the seed {seed!r} and {sorted(content)}, expected a seed of 0 or more, and tables"
        raise ParametersError(msg)
    return Parameters(str(path), seed, content)
