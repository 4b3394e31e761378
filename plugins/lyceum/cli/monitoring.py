"""Commands that look at the warehouse and its server: monitor, metrics."""

from __future__ import annotations

import sys
from pathlib import Path
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
        lyceum metrics --prometheus > /var/lib/prometheus/node-exporter/lyceum.prom
        lyceum metrics --serve 127.0.0.1:9464"""
)
@click.argument("names", nargs=-1)
@click.option("--prometheus", is_flag=True, help="Print Prometheus' text format.")
@click.option("--serve", metavar="HOST:PORT", help="Answer Prometheus at /metrics until Ctrl-C.")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    help="With --serve: a file with the bearer token that Prometheus has to send; a must off loopback.",
)
@json_option
@pass_invocation
def metrics(
    invocation: Invocation, names: tuple[str, ...], prometheus: bool, serve: str | None, token_file: Path | None
) -> None:
    """Show the newest measurements, of all metrics or of these; measures nothing."""
    from lyceum.database import connect
    from lyceum.errors import ConfigurationError
    from lyceum.monitoring import BY_NAME, latest, text_for_prometheus

    if serve is not None:
        if names or prometheus:
            raise ConfigurationError("--serve answers with all metrics. Expected it without names and --prometheus.")
        _serve(invocation, serve, token_file)
        return
    if token_file is not None:
        raise ConfigurationError("--token-file guards what --serve answers. Expected both, or neither.")
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


def _serve(invocation: Invocation, address: str, token_file: Path | None) -> None:
    from lyceum.database import connect
    from lyceum.errors import ConfigurationError
    from lyceum.monitoring.exposition import text_for_scrape
    from lyceum.monitoring.serving import metrics_server, serve_until_stopped

    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise ConfigurationError(f"{address} is no address. Expected HOST:PORT, such as 127.0.0.1:9464.")
    token = None
    if token_file is not None:
        try:
            token = token_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                f"The token cannot be read from {token_file} ({type(error).__name__}). Expected a readable file with one line of text."
            ) from None
    target = invocation.target

    def measurements() -> bytes:
        with connect(target, autocommit=True, application_name="lyceum metrics") as connection:
            return text_for_scrape(connection, invocation.clock)

    server = metrics_server(host, int(port), measurements, token)
    shown = f"[{host}]" if ":" in host else host
    invocation.message(f"Prometheus finds the measurements at http://{shown}:{server.server_port}/metrics.")
    serve_until_stopped(server)


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
