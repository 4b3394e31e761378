"""The spool gives back what it took, and says what to do when it cannot."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from lyceum.adapters.oulad.spool import Spool
from unit.adapters.oulad.oulad_set import files_of, with_rows, write_folder

LIMITED = """
import resource, signal, sys
from pathlib import Path
from lyceum.adapters.oulad import open_inputs
from lyceum.errors import RetryableError

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    open_inputs(Path(sys.argv[1]), Path(sys.argv[2]))
except RetryableError as error:
    print(error)
"""


def test_what_was_appended_is_read_back(tmp_path: Path) -> None:
    spool = Spool(tmp_path)

    begins = [spool.append(part) for part in (b"one", b"", b"three" * 1000)]

    assert begins == [0, 3, 3]
    assert spool.read(0, 3) == b"one"
    assert spool.read(3, 5000) == b"three" * 1000
    assert spool.read(1, 4) == b"neth"


def test_a_spool_that_cannot_grow_may_be_tried_again(tmp_path: Path) -> None:
    if not hasattr(resource, "RLIMIT_FSIZE"):
        pytest.skip("the size of files cannot be limited here")
    rows = [("AAA", "2013J", "1", "546652", "1", "1")] * 10_000
    delivery = write_folder(tmp_path / "set", files_of(with_rows(studentVle=rows)))

    told = subprocess.run(
        [sys.executable, "-c", LIMITED, str(delivery), str(tmp_path)], capture_output=True, text=True, check=True
    ).stdout

    assert "cannot grow beyond " in told
    assert "Free space there and collect again" in told
    assert [each.name for each in tmp_path.iterdir()] == ["set"]
