"""What the newest measurements say in a few words, for the terminal. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from lyceum.alerts import Kind
from lyceum.monitoring.measuring import Sample

Values: TypeAlias = Mapping[tuple[str, ...], float]
"""Values of a metric by its labels' values."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One line about the warehouse. `kinds` are the alerts that say it is not as it should be."""

    name: str
    text: str
    kinds: tuple[Kind, ...]


def summarize(samples: Sequence[Sample]) -> tuple[Fact, ...]:
    """Return what there is to say, in the order of the flow; nothing of what was not measured."""

    def of(metric: str) -> Values:
        return {tuple(text for _, text in one.labels): one.value for one in samples if one.name == metric}

    return tuple(fact for tell in (_records, _numbers, _views, _trail, _backup, _disk) for fact in tell(of))


_Of: TypeAlias = Callable[[str], Values]


def _records(of: _Of) -> Iterator[Fact]:
    by_outcome: dict[str, float] = {}
    for (_, outcome), count in of("lyceum_records").items():
        by_outcome[outcome] = by_outcome.get(outcome, 0) + count
    if by_outcome:
        refused = by_outcome.pop("quarantined", 0.0)
        waiting = sum(of("lyceum_quarantine_rows").values())
        kept = f"; {waiting:,.0f} refused ones are kept" if waiting else ""
        yield Fact(
            "Records",
            f"{sum(by_outcome.values()):,.0f} taken, {refused:,.0f} refused in 24 hours{kept}",
            ("records_refused",),
        )


def _numbers(of: _Of) -> Iterator[Fact]:
    ages = of("lyceum_published_age_seconds")
    if ages:
        (oldest, *_), age = max(ages.items(), key=lambda item: item[1])
        pending = sum(of("lyceum_pending_hours").values())
        waiting = f", {pending:,.0f} hours wait to be built" if pending else ", nothing waits to be built"
        told = f"the oldest are of {span(age)} ago ({oldest}){waiting}"
        yield Fact("Numbers", told, ("build_behind", "expectation_failed", "reconciliation_failed"))


def _views(of: _Of) -> Iterator[Fact]:
    ages = of("lyceum_view_age_seconds")
    if ages:
        told = ", ".join(f"{view.rpartition('.')[2]} {span(age)} ago" for (view,), age in sorted(ages.items()))
        yield Fact("Views", told, ("view_stale",))


def _trail(of: _Of) -> Iterator[Fact]:
    sealed, rows = of("lyceum_audit_sealed_age_seconds"), of("lyceum_unsealed_audit_rows")
    gaps = sum(of("lyceum_unacknowledged_audit_gaps").values())
    if sealed or rows:
        last = f"sealed {span(sealed[()])} ago" if sealed else "never sealed"
        told = f"{last}, {sum(rows.values()):,.0f} rows since then, {gaps:,.0f} gaps"
        yield Fact("Audit trail", told, ("audit_gap", "audit_heads", "trail_unsealed"))


def _backup(of: _Of) -> Iterator[Fact]:
    ages = of("lyceum_backup_age_seconds")
    if ("backup",) in ages:
        drill = f", tried out {span(ages[('drill',)])} ago" if ("drill",) in ages else ", never tried out"
        yield Fact("Backup", f"{span(ages[('backup',)])} ago{drill}", ("backup_old", "log_not_archived"))
    else:
        yield Fact("Backup", "none", ("backup_old", "log_not_archived"))


def _disk(of: _Of) -> Iterator[Fact]:
    free, ratio = of("lyceum_disk_free_bytes"), of("lyceum_disk_free_ratio")
    if free and ratio:
        yield Fact("Disk", f"{free[()] / 1e9:,.0f} GB free, {ratio[()]:.0%}", ("disk_filling",))


def span(seconds: float) -> str:
    """Return a time in its largest fitting unit, such as "3 hours"."""
    for unit, size, most in (("second", 1, 90), ("minute", 60, 90), ("hour", 3600, 48)):
        count = round(seconds / size)
        if count < most:
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{seconds / 86400:,.0f} days"
