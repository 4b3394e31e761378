"""`lyceum report`: pages that tell people how the warehouse does."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lyceum.cli.instants import as_of_option
from lyceum.cli.invocation import Invocation, json_option, pass_invocation

if TYPE_CHECKING:
    from rich.console import Console


@click.group()
def report() -> None:
    """Write reports: one self-contained page each, readable offline."""


@report.command(
    epilog="\b\nExamples:\n    lyceum report quality\n    lyceum report quality --build 12 --output /tmp/build-12.html"
)
@click.option("--build", "build_id", type=click.IntRange(min=1), help="Tell of this build. Default: the latest.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the page here and nowhere else. Default: the folder of the reports, where it is kept for 90 days.",
)
@as_of_option()
@json_option
@pass_invocation
def quality(invocation: Invocation, build_id: int | None, output: Path | None, as_of: datetime | None) -> None:
    """Write the data-quality report: expectations, reconciliation, freshness, volumes, quarantine, and what blocked a build.

    Every build writes it at its end; this writes it again. With --as-of it tells what waits at a later clock than the build's:
    then a build's own page stays as it was.
    """
    from lyceum.audit import Access, audited_transaction
    from lyceum.reporting.quality import write_quality_report

    # The page names people by their ids, so that it is made is told before it is.
    asked = Access("quality_report_read", "quality report", detail={"build_id": build_id})
    with audited_transaction(invocation.target, asked, application_name="lyceum report"):
        pass
    written = write_quality_report(invocation.target, invocation.settings, build_id, as_of=as_of, output=output)

    def show(console: Console) -> None:
        console.print(str(written.page), markup=False, soft_wrap=True)
        console.print(f"Build {written.build_id}: {written.headline}", markup=False)

    invocation.result(written, show)
