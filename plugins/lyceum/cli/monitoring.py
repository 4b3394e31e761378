"""Commands that look at the warehouse and its server: monitor, metrics."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from lyceum.cli.invocation import Invocation, json_option, pass_invocation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from lyceum.monitoring import Sample


@click.command()
@json_option
@pass_invocation
def monitor(invocation: Invocation) -> None:
    """Measure now, keep the measurements, open and end alerts. The schedule does so every 5 minutes.

    Exits 1 when something was found that somebody should look at.
    """
    from lyceum.monitoring import watch

    found = watch(invocation.settings, invocation.clock())

    def show(console: Console) -> None:
        console.print(f"{len(found.samples):,} measurements, {found.new_alerts} new alerts, {found.resolved} over.")
        for finding in found.findings:
            console.print(f"{finding.kind.replace('_', ' ')}: {finding.message}", markup=False)
        if not found.findings:
            console.print("Everything is as it should be.")

    value = {
        "samples": len(found.samples),
        "new_alerts": found.new_alerts,
        "resolved": found.resolved,
        "findings": found.findings,
    }
    invocation.result(value, show)
    if found.findings:
        sys.exit(1)


@click.command(
    epilog="""\b
    Examples:
        lyceum metrics
        lyceum metrics lyceum_table_bytes
        lyceum metrics --prometheus > /var/lib/prometheus/node-exporter/lyceum.prom"""
)
@click.argument("names", nargs=-1)
@click.option("--prometheus", is_flag=True, help="Print Prometheus' text format.")
@json_option
@pass_invocation
def metrics(invocation: Invocation, names: tuple[str, ...], prometheus: bool) -> None:
    """Show the newest measurements, of all metrics or of these; measures nothing."""
    from lyceum.database import connect
    from lyceum.errors import ConfigurationError
    from lyceum.monitoring import BY_NAME, latest, text_for_prometheus

    unknown = sorted(set(names) - BY_NAME.keys())
    if unknown:
        raise ConfigurationError(f"There is no metric {unknown[0]}. Expected one of those that `lyceum metrics` shows.")
    with connect(invocation.target, application_name="lyceum metrics") as connection:
        measured_at, samples = latest(connection)
    if measured_at is None:
        raise ConfigurationError("Nothing was measured yet. Run `lyceum monitor`, or wait for monitor_warehouse.")
    shown = [sample for sample in samples if not names or sample.name in names]
    if prometheus:
        click.echo(text_for_prometheus(shown).decode(), nl=False)
        return
    value = {
        "measured_at": measured_at,
        "samples": [{"name": sample.name, "labels": dict(sample.labels), "value": sample.value} for sample in shown],
    }
    invocation.result(value, lambda console: _show(console, shown))


def _show(console: Console, samples: Sequence[Sample]) -> None:
    from rich.markup import escape
    from rich.table import Table

    from lyceum.monitoring import BY_NAME

    table = Table(box=None, pad_edge=False)
    table.add_column("metric", style="bold")
    table.add_column("of")
    table.add_column("value", justify="right")
    previous = ""
    for sample in samples:
        value = f"{sample.value:,.10g}"
        if sample.name != previous:
            name, meaning = sample.name.removeprefix("lyceum_"), f"[dim]{escape(BY_NAME[sample.name].help)}[/]"
            table.add_row(name, meaning, value if not sample.labels else "")
            previous = sample.name
        if sample.labels:
            table.add_row("", ", ".join(escape(text) for _, text in sample.labels), value)
    console.print(table)
