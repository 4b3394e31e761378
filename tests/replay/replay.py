"""One warehouse whose every schedule runs by the clock it is given, and what must be true after each run."""

from __future__ import annotations

import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

from lyceum import audit
from lyceum.archiving import restore_partition
from lyceum.archiving.listing import list_archives, verify_archives
from lyceum.archiving.retention import remove_expired_archives
from lyceum.database import connect
from lyceum.lifecycle import CleanupReport, Schedule, read_holds, run_cleanup
from lyceum.records import Reason
from lyceum.reporting.quality import write_quality_report
from oracle.calendars import week_of
from oracle.figures import Figures
from oracle.retention import days_of, may_go
from oracle.views import learner_summary, organization_metrics
from property.comparison import Comparison, Organization, _require_equal, _require_same_rows
from property.spelling import decode, encode, pack
from property.views import ViewedProduct
from replay.happenings import DAY, Happenings, Statement
from replay.partition_promises import (
    PUBLISHED_WEEKS,
    RAW,
    STATES,
    TRAIL,
    YEARS,
    Catalogue,
    ahead,
    expired,
    held,
    read_catalogue,
    too_old,
    week_name,
)
from replay.recorded_models import RecordedModels
from warehouse import Warehouse


@dataclass
class Tally:
    """How many steps were taken and how many promises were held against them, by kind."""

    steps: Counter[str] = field(default_factory=Counter)
    checks: Counter[str] = field(default_factory=Counter)
    looked_at: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def check(self, what: str, found: object, expected: object) -> None:
        """Count the check, and raise `AssertionError` unless both are equal."""
        self.checks[what] += 1
        if found != expected:
            raise AssertionError(f"{what}: {found}, expected {expected}")

    def timed(self, what: str, work: Callable[[], None]) -> None:
        """Take a step."""
        began = time.perf_counter()
        work()
        self.seconds[what] += time.perf_counter() - began
        self.steps[what] += 1

    def __str__(self) -> str:
        lines = [f"{self.steps.total():,} steps, {self.checks.total():,} checks"]
        lines += [f"  {count:>8,} {what}, {self.seconds[what]:,.0f} s" for what, count in sorted(self.steps.items())]
        lines += [f"  {count:>8,} × {what}" for what, count in sorted(self.checks.items())]
        lines += [f"  {count:>8,} {what}" for what, count in sorted(self.looked_at.items())]
        return "\n".join(lines)


class Replay(Comparison):
    """Every step is taken by the product and by the model of it. Time only goes on."""

    product: ViewedProduct

    def __init__(self, lent: Warehouse, zones: Iterable[str], begin: date) -> None:
        super().__init__(ViewedProduct(lent), tell=lambda _: None)
        self._lent = lent
        self._models = RecordedModels()
        self._chance = random.Random(begin.toordinal())
        self._now = datetime(begin.year, begin.month, begin.day, tzinfo=UTC)
        self.tally = Tally()
        self.raw_rows: Counter[date] = Counter()
        self._happenings: dict[str, Happenings] = {}
        self._dropped_years: set[int] = set()
        self._seen = Catalogue()
        self._restored: dict[str, datetime] = {}
        lent.settings.create_directories()
        # One session that looks, because a new one for each look would cost more than the looks.
        self._looking = lent.connect(autocommit=True)
        self._looking.execute("set timezone = 'UTC'")
        for number, zone in enumerate(zones):
            one = self.add_organization(zone, self._now)
            self._happenings[one.slug] = Happenings(one, number)

    def close(self) -> None:
        """Stop looking."""
        self._looking.close()

    @property
    def now(self) -> datetime:
        """The clock of the last step."""
        return self._now

    @property
    def _unbuilt(self) -> set[date]:
        """The UTC days of which an hour waits to be built, whosever it is."""
        return set().union(*(one.expected._unbuilt_days for one in self.organizations))

    def happenings(self, one: Organization) -> Happenings:
        """What tells the statements of an organization."""
        return self._happenings[one.slug]

    # Steps

    def collect(self, one: Organization, as_of: datetime, *also: Statement, is_history: bool = False) -> Counter[str]:
        """Deliver what an organization has on this day; return why records were refused."""
        refused: Counter[str] = Counter()

        def deliver() -> None:
            statements = also if is_history else (*self._happenings[one.slug].of_a_day(as_of), *also)
            file = pack(self.new_name(), [encode(statement) for statement in statements], "lines")
            outcome = one.expected.collect([decode(line) for line in file.lines], as_of, is_history=is_history)
            counts = self.product.deliver(one.slug, [file], as_of, is_history=is_history)
            self._account(outcome.accepted, as_of)
            refused.update(outcome.quarantined)
            self.tally.check(
                "counts of a delivery are the oracle's",
                (counts.accepted, counts.duplicates, Counter(counts.quarantined)),
                (outcome.accepted, outcome.duplicates, outcome.quarantined),
            )
            self.tally.check("nothing is lost", counts.accepted + counts.duplicates + refused.total(), len(statements))

        self._at(as_of, "collect", deliver)
        return refused

    def replay_refused(self, one: Organization, reason: Reason, as_of: datetime) -> int:
        """Collect what was refused once more; return how many events came in."""
        accepted = 0

        def replay() -> None:
            nonlocal accepted
            outcome = one.expected.replay(as_of, reason)
            counts = self.product.replay(one.slug, reason, as_of)
            self._account(outcome.accepted, as_of)
            accepted = outcome.accepted
            self.tally.check(
                "a replay takes what the oracle takes",
                (counts.accepted, counts.duplicates, Counter(counts.quarantined)),
                (outcome.accepted, outcome.duplicates, outcome.quarantined),
            )

        self._at(as_of, "replay", replay)
        return accepted

    def build_all(self, as_of: datetime, *, by_dbt: bool = False) -> None:
        """Build, publish and seal; with dbt and Great Expectations themselves, or with what dbt sent before."""
        is_spared = not by_dbt and self._models.is_ready_for("stage_two", "stage_three")

        def build() -> None:
            with self._models.spared() if is_spared else self._models.listening():
                self.product.build(as_of)
            if not is_spared:
                write_quality_report(self._lent.target, self._lent.settings)
            for one in self.organizations:
                one.expected.build(as_of)
                one.expected.seal(as_of)

        self._at(as_of, "build" if is_spared else "build by dbt", build)
        self._check_weeks(as_of)

    def refresh(self, as_of: datetime) -> None:
        """Refresh both views and hold them against the oracle, if asked."""
        is_spared = self._models.is_ready_for("mv_learner_analytics_summary", "mv_organization_metrics")

        def refresh() -> None:
            with self._models.spared() if is_spared else self._models.listening():
                self.product.refresh(as_of)

        self._at(as_of, "refresh", refresh)

    def refresh_by_dbt(self, as_of: datetime) -> None:
        """Refresh both views with dbt and Great Expectations themselves."""

        def refresh() -> None:
            with self._models.listening():
                self.product.refresh(as_of)

        self._at(as_of, "refresh by dbt", refresh)

    def clean_up(self, schedule: Schedule, as_of: datetime) -> CleanupReport:  # type: ignore[override]
        """Run one clean-up, and hold everything in the catalogue against what it promises."""
        reports: list[CleanupReport] = []
        rows = self._rows_that_go(as_of) if schedule == "yearly" else {}
        self._at(
            as_of,
            f"clean-up {schedule}",
            lambda: reports.append(run_cleanup(self._lent.target, self._lent.settings, schedule, as_of)),
        )
        (report,) = reports
        self._forget(schedule, as_of)
        self._check_catalogue(schedule, as_of, report)
        if schedule == "daily":
            self._check_raw_rows(as_of)
            self._check_pages(as_of)
        if schedule == "weekly":
            self._check_small_tables(as_of)
        if schedule == "monthly":
            self._check_archives(as_of)
        if schedule == "yearly":
            self._check_years(as_of, rows)
        return report

    def _forget(self, schedule: Schedule, as_of: datetime) -> None:
        """Let the oracle forget what the clean-up of a schedule drops. A pending hour of anybody keeps the day of all."""
        unbuilt = self._unbuilt
        for one in self.organizations:
            if schedule == "daily":
                # Whatever lies further back has been forgotten long ago.
                for accepted in one.expected.accepted[-1000:]:
                    accepted.has_raw_row &= not self._is_gone(accepted.at.date(), as_of, unbuilt)
            if schedule == "weekly":
                months = {(day.year, day.month) for day in unbuilt}
                one.expected.quarantine = [
                    refusal
                    for refusal in one.expected.quarantine
                    if (refusal.at.year, refusal.at.month) in months
                    or not may_go(f"{refusal.at:%Ym%m}", is_local=False, retention=("days", 90), as_of=as_of)
                ]

    def clean_up_again(self, schedule: Schedule, as_of: datetime) -> None:
        """The same run twice: the second finds nothing to do."""
        report = self.clean_up(schedule, as_of)
        self.tally.check("a run twice does nothing more", (report.made, report.partitions_dropped), ((), 0))

    def access_something(self, as_of: datetime) -> None:
        """Write rows of the audit trail as services would have at this clock, and seal them.

        The trail's instants are the server's own; the administrator writes these, because eleven years have to pass.
        """

        def access() -> None:
            with self._lent.connect(autocommit=True) as connection:
                connection.execute(
                    """
                    insert into audit.audit_logs (
                        occurred_at, recorded_at, organization_id, actor_login, action, resource, decision, source, server_id
                    )
                    select
                        %(at)s - number * interval '7 days', %(at)s, 1, 'replay', 'report_read', 'report ' || number, 'allowed',
                        'service', audit.server_id()
                    from generate_series(0, 3) as number
                    """,
                    {"at": as_of},
                )
            with connect(self._lent.target, autocommit=True) as connection:
                audit.seal_and_tell(connection, self._lent.target, self._lent.settings)

        self._at(as_of, "audited accesses", access)

    # Expensive checks

    def compare_organization(self, one: Organization, as_of: datetime, *, with_views: bool) -> None:
        """Hold everything published of an organization against the oracle, which knows all of its events."""

        def compare() -> None:
            if one.expected.built_as_of is None or not one.expected.accepted:
                return
            figures = self._kept(one.expected.figures())
            self._compare_figures(one, figures)
            if with_views:
                self._compare_shown(one, figures, as_of)
            expected = Counter(refusal.reason for refusal in one.expected.quarantine if not refusal.is_resolved)
            _require_equal("quarantine", self.product.quarantine(one.slug), expected)
            self.tally.checks["stage two, stage three and the views equal the oracle's"] += 1
            self.tally.looked_at["rows compared with the oracle"] += len(figures.stage_three)

        self._at(as_of, "comparison with the oracle", compare)

    def tidy(self) -> None:
        """What autovacuum does on any other server: the tests' has none."""
        with self._lent.connect(autocommit=True) as connection:
            connection.execute("vacuum (analyze)")

    def verify_trail(self) -> None:
        """Recompute the chain of the audit trail."""
        with connect(self._lent.target, autocommit=True) as connection:
            found = audit.verify_trail(connection, audit.heads_of_home(self._lent.settings))
        self.tally.check("the chain of the audit trail is whole", found.findings, ())

    # What must be true

    def _check_catalogue(self, schedule: Schedule, as_of: datetime, report: CleanupReport) -> None:
        found = read_catalogue(self._looking)
        holds = read_holds(self._looking)
        check = self.tally.check
        check("every partition holds what its name says", found.wrong, [])
        check("nothing goes before its time", self._gone_early(found, as_of), [])
        self._seen = found
        for table, periods in ahead(as_of).items():
            check("partitions exist ahead", periods - found.periods[table], set())
        check("what is expired and not needed is gone", too_old(found, schedule, as_of, self._is_needed), [])
        check("what is needed is on hold", {hold.name for hold in holds}, held(found, as_of, self._is_needed))
        check("no hold asks for a person", [hold for hold in holds if hold.needs_attention], [])
        overdue = {hold.parent_table for hold in holds if hold.grace_ends_at <= as_of}
        check("holds past their grace time are told", set(report.overdue), overdue)
        unbuilt = self._unbuilt
        days = {day for day, rows in self.raw_rows.items() if rows and not self._is_gone(day, as_of, unbuilt)}
        check("raw days are there", {f"{day:%Y%m%d}" for day in days} - found.periods[RAW], set())
        if schedule == "daily":
            gone = {day for day in self.raw_rows if self._is_gone(day, as_of, unbuilt)}
            for day in gone:
                del self.raw_rows[day]
            months = {period[:4] + "m" + period[4:6] for period in found.periods[RAW]}
            check("months of raw days go with their last day", found.months_of_days, months)
        open_weeks = {week for one in self.organizations for week in one.expected.open_weeks}
        # A week may have none of the other states: what opened it was voided, or shows no video and no trainer.
        check("open weeks are there", {week_name(week) for week in open_weeks} - found.periods["event_keys"], set())

    def _gone_early(self, found: Catalogue, as_of: datetime) -> list[str]:
        """What was there after the last clean-up and is gone too soon. The states of a week go when everybody has sealed it."""
        states = {
            (week_name(week), state) for one in self.organizations for week, state in one.expected.week_states.items()
        }
        sealed = {week for week, state in states if state == "sealed" and (week, "open") not in states}
        early = []
        for table, periods in self._seen.periods.items():
            gone = periods - found.periods[table]
            gone -= set(expired(table, gone, as_of))
            early += [f"{table}_p{period}" for period in gone if table not in STATES or period not in sealed]
        return early

    def _check_weeks(self, as_of: datetime) -> None:
        since = (as_of - 200 * DAY).date()
        weeks = self._looking.execute(
            """
            select organizations.slug, weeks.week_start, weeks.state
            from ops.week_states as weeks inner join core.organizations as organizations using (organization_id)
            where weeks.week_start >= %s or weeks.state = 'open'
            """,
            [since],
        ).fetchall()
        expected = {
            (one.slug, week, state)
            for one in self.organizations
            for week, state in one.expected.week_states.items()
            if week >= since or state == "open"
        }
        self.tally.check("weeks are open and sealed as they should be", set(weeks), expected)
        closed = self._looking.execute(
            """
            select organizations.slug, marks.closed_through
            from ops.organization_watermarks as marks inner join core.organizations as organizations using (organization_id)
            """
        ).fetchall()
        self.tally.check(
            "days close when they end in the organization's zone",
            dict(closed),
            {one.slug: one.expected.closed_through for one in self.organizations if one.expected.accepted},
        )

    def _is_gone(self, day: date, as_of: datetime, unbuilt: set[date]) -> bool:
        return day not in unbuilt and may_go(f"{day:%Y%m%d}", is_local=False, retention=("hours", 24), as_of=as_of)

    def _is_needed(self, table: str, period: str) -> bool:
        if table in (RAW, "quarantine"):
            return not self._unbuilt.isdisjoint(days_of(period))
        if table in (*STATES, *PUBLISHED_WEEKS, YEARS):
            days = set(days_of(period))
            is_open = any(
                week + number * DAY in days
                for one in self.organizations
                for week in one.expected.open_weeks
                for number in range(7)
            )
            if table != YEARS or is_open:
                return is_open
        until = self._restored.get(f"{table}_p{period}")
        return until is not None and self._now < until

    def _check_raw_rows(self, as_of: datetime) -> None:
        rows = self._looking.execute(
            """
            select (collected_at at time zone 'UTC')::date, count(*)::integer, min(collected_at)
            from stage_one.raw_data_collection group by 1
            """
        ).fetchall()
        self.tally.check(
            "raw rows are those of the days that are kept", {day: count for day, count, _ in rows}, +self.raw_rows
        )
        unbuilt = self._unbuilt
        oldest = min((first for day, _, first in rows if day not in unbuilt), default=as_of)
        self.tally.check("raw rows live for 48 hours and an interval at most", as_of - oldest <= 3 * DAY, True)
        young = {day for day in self.raw_rows if as_of - datetime(day.year, day.month, day.day, tzinfo=UTC) < 2 * DAY}
        self.tally.check("raw rows live for 24 hours at least", {day for day in young if not self.raw_rows[day]}, set())

    def _check_pages(self, as_of: datetime) -> None:
        pages = self._looking.execute("select uri from reporting.quality_pages").fetchall()
        (old_pages,) = self._looking.execute(
            """
            select count(*) from reporting.quality_pages
            where as_of + interval '91 days' <= %s and build_id < (select max(build_id) from reporting.quality_pages)
            """,
            [as_of],
        ).fetchone() or (None,)
        self.tally.check("report pages go in time", old_pages, 0)
        self.tally.check(
            "report pages are files", [uri for (uri,) in pages if not (self._lent.settings.reports / uri).exists()], []
        )

    def _check_small_tables(self, as_of: datetime) -> None:
        (old,) = self._looking.execute(
            """
            select count(*) from ops.build_batches inner join ops.builds using (build_id)
            where builds.as_of + interval '13 months' <= %s and build_id < (select max(build_id) from ops.builds)
            """,
            [as_of],
        ).fetchone() or (None,)
        (lost,) = self._looking.execute(
            """
            select count(*) from ops.batches
            where collected_at >= %(since)s and events_accepted + duplicates + quarantined <> records_read
            """,
            {"since": as_of - 14 * DAY},
        ).fetchone() or (None,)
        self.tally.check("results of builds go after 13 months", old, 0)
        self.tally.check("batches add up", lost, 0)

    def _check_archives(self, as_of: datetime) -> None:
        with connect(self._lent.target, autocommit=True) as connection:
            report = verify_archives(connection, self._lent.settings, as_of, sample=20)
            names = {entry.name for entry in list_archives(connection, table="audit_logs")}
        found = read_catalogue(self._looking)
        self.tally.check("a sample of archives is whole", report.damaged, ())
        self.tally.looked_at["archives read whole"] += report.archives
        due = {
            f"{TRAIL}_p{period}"
            for period in found.periods[TRAIL]
            if _add_months(max(days_of(period)) + DAY, 13) <= as_of.date()
        }
        self.tally.check("audit months are archived after 13 months", due - names, set())

    def _rows_that_go(self, as_of: datetime) -> dict[tuple[str, str], str]:
        """A digest of the rows of everything that the yearly clean-up is about to drop."""
        found = read_catalogue(self._looking)
        return {
            (table, period): self._digest(table, period)
            for table in (YEARS, TRAIL)
            for period in expired(table, found.periods[table], as_of)
            if not self._is_needed(table, period)
        }

    def _digest(self, table: str, period: str) -> str:
        column = "period_start" if table == YEARS else "occurred_at"
        schema = "stage_three" if table == YEARS else "audit"
        days = days_of(period)
        (found,) = self._looking.execute(
            f"""
            select count(*) || ' ' || coalesce(md5(string_agg(t::text, chr(10) order by t::text)), '')
            from {schema}.{table} as t where {column} >= %s and {column} < %s
            """.encode(),
            [min(days), max(days) + DAY],
        ).fetchone() or ("",)
        return str(found)

    def _check_years(self, as_of: datetime, rows: dict[tuple[str, str], str]) -> None:
        with connect(self._lent.target, autocommit=True) as connection:
            removed = remove_expired_archives(connection, self._lent.settings, as_of)
            entries = list_archives(connection)
        self.tally.looked_at["archives removed in time"] += len(removed)
        year = timedelta(days=366)
        weeks = [entry for entry in entries if entry.organization is not None]
        since = (as_of - 10 * year).date()
        self.tally.check("archives of weeks go in time", [entry for entry in weeks if entry.period_end < since], [])
        archived = {
            (str(entry.organization), entry.period_start) for entry in weeks if entry.table == "stage_one.event_keys"
        }
        wanted = {
            (one.slug, week)
            for one in self.organizations
            for week, state in one.expected.week_states.items()
            if state == "sealed" and datetime(week.year, week.month, week.day, tzinfo=UTC) > as_of - 7 * year
        }
        self.tally.check("sealed weeks are archived", wanted - archived, set())
        files = sum(1 for _ in self._lent.settings.archives.rglob("*.parquet"))
        self.tally.check("archives on record are the files that there are", files, len(entries))
        for table, period in rows:
            if table == YEARS:
                self._dropped_years.add(int(period))
        # A month of the trail is as good as another; all years are brought back.
        for table, period in [key for key in rows if key[0] == YEARS] + [key for key in rows if key[0] == TRAIL][:2]:
            self._restore(table, period, rows[table, period], as_of)

    def _restore(self, table: str, period: str, digest: str, as_of: datetime) -> None:
        parent = f"stage_three.{table}" if table == YEARS else f"audit.{table}"
        name = f"{table}_p{period}"

        def restore() -> None:
            self.tally.check("the rows are gone before", self._digest(table, period).split()[0], "0")
            with connect(self._lent.target, autocommit=True) as connection:
                restore_partition(connection, self._lent.settings, parent, name, as_of, 20 * DAY)

        self._at(as_of, "restore", restore)
        self._restored[name] = as_of + 20 * DAY
        if table == YEARS:
            self._dropped_years.discard(int(period))
        self.tally.check("archives restore to identical rows", self._digest(table, period), digest)

    def let_restored_go(self, as_of: datetime) -> None:
        """The yearly clean-up by hand, once nobody asks for what was restored any more."""
        years = [name for name in self._restored if name.startswith(YEARS)]
        if not self._restored:
            return
        self._restored.clear()
        self._at(
            as_of,
            "clean-up yearly",
            lambda: self.tally.check(
                "what was restored goes again",
                run_cleanup(self._lent.target, self._lent.settings, "yearly", as_of).partitions_dropped > 0,
                True,
            ),
        )
        self._dropped_years |= {int(name[-4:]) for name in years}
        found = read_catalogue(self._looking)
        self.tally.check("what is expired and not needed is gone", too_old(found, "yearly", as_of, self._is_needed), [])

    def _kept(self, figures: Figures) -> Figures:
        """Without the years that have left stage three; what views say of a whole life is of the years that are left."""
        return replace(
            figures,
            stage_three={
                key: row for key, row in figures.stage_three.items() if key.start.year not in self._dropped_years
            },
            organization_days={
                day: row for day, row in figures.organization_days.items() if day.year not in self._dropped_years
            },
        )

    def _compare_figures(self, one: Organization, figures: Figures) -> None:
        names = self._names_of(one)
        weeks = one.expected.open_weeks
        _require_same_rows("stage three", figures.stage_three, self.product.stage_three(one.slug, names))
        _require_same_rows(
            "stage two, learners",
            {key: row for key, row in figures.learner_days.items() if week_of(key[2]) in weeks},
            {key: row for key, row in self.product.learner_days(one.slug, names).items() if week_of(key[2]) in weeks},
        )
        _require_same_rows(
            "stage two, organization",
            {day: row for day, row in figures.organization_days.items() if week_of(day) in weeks},
            {day: row for day, row in self.product.organization_days(one.slug).items() if week_of(day) in weeks},
        )

    def _compare_shown(self, one: Organization, figures: Figures, as_of: datetime) -> None:
        names = self._names_of(one)
        last_closed = one.expected.closed_through
        _require_same_rows(
            "learner summary",
            learner_summary(figures, last_closed),
            self.product.learner_summary(one.slug, names),
        )
        ids = {name: course for course, name in names.courses.items()}
        metrics = organization_metrics(figures, last_closed, lambda course: ids[course])
        shown = self.product.organization_metrics(one.slug)
        assert shown is not None
        self.tally.check("views are of a build that was", shown.pop("data_as_of") <= as_of, True)
        _require_same_rows("organization metrics", {"": metrics or {}}, {"": shown})

    def _account(self, accepted: int, as_of: datetime) -> None:
        self.raw_rows[as_of.date()] += accepted

    def _at(self, as_of: datetime, what: str, work: Callable[[], None]) -> None:
        assert as_of >= self._now, f"{what} at {as_of} would be before {self._now}"
        self._now = as_of
        try:
            self.tally.timed(what, work)
        except BaseException as error:
            error.add_note(f"{what} at {as_of}")
            raise


def _add_months(day: date, months: int) -> date:
    """The first of a month, so many months later."""
    return date(day.year + (day.month - 1 + months) // 12, (day.month - 1 + months) % 12 + 1, 1)
