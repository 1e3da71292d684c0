"""Threads of OpenMP that wait don't keep their cores busy, unless the user wants them to."""

import os
import subprocess
import sys

import pytest

SAY = "import LungDeepRegLib, os; print(os.environ.get('GOMP_SPINCOUNT'))"


@pytest.mark.parametrize(
    ("wanted", "expected"), [({}, "1000"), ({"GOMP_SPINCOUNT": "5"}, "5"), ({"OMP_WAIT_POLICY": "active"}, "None")]
)
def test_they_wait_without_spinning_unless_told_otherwise(wanted, expected):
    own = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    said = subprocess.run(
        [sys.executable, "-c", SAY], env={**own, **wanted}, capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == expected
