"""The command line in processes that may die: forked from one that has done the slow imports already."""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["property.dying", "lyceum.cli", "lyceum.analytics.build", "lyceum.collect", "dbt.cli.main"]
)


def run(arguments: Sequence[str], variables: Mapping[str, str]) -> tuple[int, str]:
    """Run `lyceum` with these arguments and further environment variables; return its exit code (-9: killed) and stderr."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "stderr"
        process = _CONTEXT.Process(target=_lyceum, args=(list(arguments), dict(variables), output))
        process.start()
        process.join()
        assert process.exitcode is not None
        return process.exitcode, output.read_text(errors="replace") if output.exists() else ""


def _lyceum(arguments: list[str], variables: dict[str, str], output: Path) -> None:
    from lyceum.cli import main

    os.environ.update(variables)
    for number, name in ((1, os.devnull), (2, output)):
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT)
        os.dup2(descriptor, number)
    sys.argv = ["lyceum", *arguments]
    main()
