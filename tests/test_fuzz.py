"""Damaged files end in BadInput: no other exception, no signal. ZSCMR_FUZZ=N reads N mutants of each kind."""

import os
import subprocess
import sys

import pytest
from helpers.fuzz import KINDS
from helpers.project import ROOT

COUNT = int(os.environ.get("ZSCMR_FUZZ", "60"))

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_refused_or_read(kind):
    command = [sys.executable, ROOT / "tests/helpers/fuzz.py", kind, "0", str(COUNT)]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert [line for line in lines if line.startswith("fault")] == []
    assert done.returncode == 0, f"status {done.returncode} {lines[-1:]}\n{done.stderr}"
    assert sum(line.startswith("at ") for line in lines) == COUNT
