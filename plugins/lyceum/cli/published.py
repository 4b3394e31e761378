"""The end of `lyceum run`: what is published, where to look at it, and what to try next."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lyceum.cli.narrative import show_link
from lyceum.cli.progress import duration

if TYPE_CHECKING:
    from rich.console import Console

    from lyceum.settings import Settings
    from lyceum.supervisor import Published

_NONE = "–"


def show_published(console: Console, settings: Settings, published: Published, is_once: bool) -> None:
    """Print the organizations with their published numbers; with the UI's address and the next commands unless `is_once`."""
    from rich.table import Table

    outcome = "[bold green]Published[/] in" if published.has_changed else "[bold green]Up to date[/] after"
    console.print(f"\n{outcome} {duration(published.seconds)}\n")
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 3, 0, 0))
    table.add_column("")
    for organization in published.organizations:
        table.add_column(organization.name, justify="right", overflow="fold")
    for title, value in _ROWS:
        table.add_row(title, *[value(organization) for organization in published.organizations])
    console.print(table)
    if published.courses:
        courses = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 3, 0, 0))
        courses.add_column("Busiest courses of the latest week", overflow="fold")
        for title in ("active learners", "hours on task", "mean score"):
            courses.add_column(title, justify="right")
        for course in published.courses:
            score = _NONE if course.score_mean is None else f"{course.score_mean}"
            courses.add_row(
                f"{course.organization}: {course.course.rstrip('/').rpartition('/')[2]}",
                f"{course.learners_active:,}",
                f"{course.hours_on_task:,}",
                score,
            )
        console.print()
        console.print(courses)
    if not is_once:
        console.print()
        _show_next(console, settings, published)


def _show_next(console: Console, settings: Settings, published: Published) -> None:
    from rich.table import Table

    from lyceum.supervisor.credentials import ADMINISTRATOR, administrator_password

    slug = published.organizations[0].slug if published.organizations else "harbor-college"
    # A terminal is looked at by whoever started it; a log is kept and read by others.
    password = (
        administrator_password(settings) if console.is_terminal else f"in {settings.secrets / 'airflow_passwords.json'}"
    )
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_row("Airflow", f"{show_link(console, published.airflow)}  user {ADMINISTRATOR}, password {password}")
    if published.api is not None:
        table.add_row("API", f"{show_link(console, published.api + '/docs')}  what may be asked, and a page to try it")
    table.add_row("Drop files", f"{settings.landing}/{slug}/xapi/")
    table.add_row("More data", f"lyceum simulate {slug} --seed 2")
    table.add_row("Refused", f"lyceum quarantine list --organization {slug}")
    table.add_row(
        "Ask",
        'lyceum psql -- -c "select period_start, learners_active from stage_three.aggregated_analytics'
        " where subject_type = 'organization'\"",
    )
    table.add_row("Stop", "Ctrl-C")
    console.print(table)
    if published.api is not None:
        console.print("\n[bold]Ask the API[/]")
        # One line, however long, so that it can be copied.
        console.print(_curl(settings, published.api, slug), markup=False, soft_wrap=True)


def _curl(settings: Settings, address: str, slug: str) -> str:
    """Return a line that works as it stands: the token is minted, and recorded, when somebody runs it."""
    program = Path(sys.executable).with_name("lyceum")
    mint = f"LYCEUM_HOME={shlex.quote(str(settings.home))} {shlex.quote(str(program))} token mint --organization {slug}"
    return f'curl -H "Authorization: Bearer $({mint} --role org_admin)" {address}/v1/organization/metrics'


def _number(value: object) -> str:
    return _NONE if value is None else f"{value:,}"


def _share(value: object) -> str:
    return _NONE if value is None else f"{float(str(value)):.0%}"


_ROWS = (
    ("time zone", lambda organization: organization.time_zone),
    ("events accepted", lambda organization: _number(organization.events)),
    ("duplicates, quarantined", lambda organization: f"{organization.duplicates:,}, {organization.quarantined:,}"),
    ("learners", lambda organization: _number(organization.learners)),
    ("published days", lambda organization: _number(organization.published_days)),
    ("hours on task", lambda organization: _number(organization.hours_on_task)),
    ("course completions", lambda organization: _number(organization.completions)),
    ("last closed day", lambda organization: str(organization.closed_through or _NONE)),
    ("  learners active", lambda organization: _number(organization.learners_active)),
    ("  active in 7 days", lambda organization: _number(organization.weekly_active_learners)),
    ("  stickiness", lambda organization: _share(organization.stickiness)),
    ("  enrollments open", lambda organization: _number(organization.enrollments_open)),
    ("  learners at risk", lambda organization: _number(organization.learners_at_risk)),
    ("data version", lambda organization: _number(organization.data_version)),
)
