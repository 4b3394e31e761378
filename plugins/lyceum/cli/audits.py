"""What the audits of a build found, as they left it in `ops`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lyceum.errors import ConfigurationError

if TYPE_CHECKING:
    from rich.console import Console

    from lyceum.database import Connection


@dataclass(frozen=True, slots=True)
class AuditedExpectation:
    """One expectation of one suite; `observed` is what it found, pseudonymous at most."""

    suite: str
    expectation: str
    severity: str
    is_success: bool
    observed: Any


@dataclass(frozen=True, slots=True)
class ReconciledCheck:
    """One reconciliation over all organizations of the build; `sample` holds keys that disagree."""

    check: str
    organizations: int
    keys_checked: int
    mismatches: int
    sample: Any


@dataclass(frozen=True, slots=True)
class Audits:
    """Everything that was audited in one build."""

    build_id: int
    state: str
    expectations: tuple[AuditedExpectation, ...]
    checks: tuple[ReconciledCheck, ...]

    @property
    def is_passed(self) -> bool:
        """Whether no critical expectation failed and no key disagrees."""
        failed = any(not found.is_success and found.severity == "critical" for found in self.expectations)
        return not failed and all(check.mismatches == 0 for check in self.checks)


def read_audits(connection: Connection, build_id: int | None) -> Audits:
    """Return the audits of a build, or of the last that was audited.

    Raises `ConfigurationError` when there is none.
    """
    row = connection.execute(
        """
        select builds.build_id, builds.state
        from ops.builds as builds
        where
            (%(build)s::bigint is null or builds.build_id = %(build)s)
            and exists (select 1 from ops.expectation_results as results where results.build_id = builds.build_id)
        order by builds.build_id desc
        limit 1
        """,
        {"build": build_id},
    ).fetchone()
    if row is None:
        which = "No build was" if build_id is None else f"Build {build_id} was not"
        raise ConfigurationError(f"{which} audited. Run `lyceum build`; one without work has nothing to audit.")
    audited, state = row
    expectations = connection.execute(
        """
        select suite, expectation, severity, is_success, observed
        from ops.expectation_results
        where build_id = %s
        order by suite, is_success, expectation
        """,
        [audited],
    ).fetchall()
    checks = connection.execute(
        """
        select
            check_name,
            count(*),
            sum(keys_checked)::bigint,
            sum(mismatches)::bigint,
            jsonb_agg(sample) filter (where mismatches > 0)
        from ops.reconciliation_results
        where build_id = %s
        group by check_name
        order by check_name
        """,
        [audited],
    ).fetchall()
    return Audits(
        audited,
        state,
        tuple(AuditedExpectation(*found) for found in expectations),
        tuple(ReconciledCheck(*found) for found in checks),
    )


def show_audits(console: Console, audits: Audits) -> None:
    """Print the suites and checks with what failed in them."""
    from rich.table import Table

    console.print(f"Build {audits.build_id}, {audits.state}")
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), show_header=False)
    for suite in dict.fromkeys(found.suite for found in audits.expectations):
        outcomes = [found for found in audits.expectations if found.suite == suite]
        met = sum(found.is_success for found in outcomes)
        table.add_row(_mark(met == len(outcomes)), suite, f"{met} of {len(outcomes)} expectations met")
        for found in outcomes:
            if not found.is_success:
                table.add_row("", f"  {found.expectation}", f"{found.severity}: {found.observed}")
    for check in audits.checks:
        table.add_row(
            _mark(check.mismatches == 0),
            check.check,
            f"{check.keys_checked:,} keys of {check.organizations} organizations, {check.mismatches:,} disagree",
        )
        if check.mismatches:
            table.add_row("", "", str(check.sample))
    console.print(table)


def _mark(is_good: bool) -> str:
    return "[green]✓[/]" if is_good else "[red]✗[/]"
