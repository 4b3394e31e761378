"""The `lyceum` program: its commands, its logging, and what becomes of an error."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

import click

from lyceum.cli.analytics import build, docs, seal, validate
from lyceum.cli.archives import archive
from lyceum.cli.audit import audit
from lyceum.cli.backup import backup, restore
from lyceum.cli.cleanup import cleanup
from lyceum.cli.collection import collect
from lyceum.cli.erasure import erase
from lyceum.cli.invocation import Invocation, json_option
from lyceum.cli.keys import keys
from lyceum.cli.lineage import lineage
from lyceum.cli.logins import login
from lyceum.cli.monitoring import metrics, monitor
from lyceum.cli.organizations import organization
from lyceum.cli.people import people
from lyceum.cli.quarantine import quarantine
from lyceum.cli.refreshing import refresh
from lyceum.cli.reports import report
from lyceum.cli.roster import roster
from lyceum.cli.security import security
from lyceum.cli.serving import serve
from lyceum.cli.simulation import simulate
from lyceum.cli.sources import source
from lyceum.cli.tokens import token
from lyceum.cli.warehouse import down, migrate, psql, run, status, up
from lyceum.errors import LyceumError, RetryableError
from lyceum.log_fields import with_fields

_FAMILIES: dict[str, tuple[click.Command, ...]] = {
    "The warehouse": (run, up, down, status, monitor, metrics, serve, migrate, psql),
    "Backups": (backup, restore),
    "Data": (organization, source, collect, roster, simulate, quarantine),
    "Analytics": (build, refresh, validate, seal, report, docs, lineage),
    "Lifecycle": (cleanup, archive, erase),
    "Security": (keys, people, security, token, login, audit),
}


class _Program(click.Group):
    """Lists the commands by family rather than by letter."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [str(command.name) for commands in _FAMILIES.values() for command in commands]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for family, commands in _FAMILIES.items():
            with formatter.section(family):
                formatter.write_dl([(str(command.name), command.get_short_help_str(80)) for command in commands])


@click.group(cls=_Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@json_option
@click.version_option(package_name="lyceum", prog_name="lyceum")
@click.option("-v", "--verbose", is_flag=True, help="Log what goes on to stderr.")
def lyceum(verbose: bool) -> None:
    """Lyceum, a learning-analytics warehouse.

    \b
    Start with a demonstration that stays up until Ctrl-C:
        lyceum run
    Or with data of your own:
        lyceum up
        lyceum organization add harbor-college --name "Harbor College" --time-zone America/New_York
        lyceum collect statements.ndjson.gz --organization harbor-college --format xapi
        lyceum build

    Everything that is written lives in LYCEUM_HOME (default: .lyceum in the checkout). LYCEUM_DATABASE_URL points at a
    PostgreSQL of your own in place of the embedded one.
    """
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, handlers=[_handler(level)], force=True)


for _commands in _FAMILIES.values():
    for _command in _commands:
        lyceum.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program and exit: 0 for success, else what the error says (`LyceumError.exit_code`), 130 when interrupted."""
    invocation = Invocation()
    try:
        code = lyceum.main(arguments, prog_name="lyceum", obj=invocation, standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        invocation.stderr.print("lyceum: interrupted")
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read our output has seen enough. Python must not complain about it when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except LyceumError as error:
        invocation.failure(error)
        sys.exit(error.exit_code)
    except Exception as error:
        found = _database_failure(error)
        if found is None:
            raise
        invocation.failure(found)
        sys.exit(found.exit_code)


def _database_failure(error: Exception) -> LyceumError | None:
    """Say what the server said, if it was the server, without the detail, which may quote a row."""
    psycopg = sys.modules.get("psycopg")
    if psycopg is None or not isinstance(error, psycopg.Error):
        return None
    said = error.diag.message_primary or str(error).partition("\n")[0] or type(error).__name__
    code = f" (SQLSTATE {error.sqlstate})" if error.sqlstate else ""
    kind = RetryableError if isinstance(error, psycopg.OperationalError) else LyceumError
    return kind(f"The database refused: {said}{code}. Look at `lyceum status`; when the server runs, try again.")


def _handler(level: int) -> logging.Handler:
    """Return a handler that keeps quiet below `level`, also where a library gives its own logger a lower one."""
    handler = logging.StreamHandler()
    handler.setLevel(level)
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    return handler


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line, what it carries beside its message included."""
        return with_fields(super().format(record), record)
