"""What a page says at its top: findings, the worst first, and the answer that follows from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from lyceum.reporting.facts import OpenAlert

Tone: TypeAlias = Literal["bad", "warning", "good", "neutral"]

# What stops the flow, loses something or hides it comes before what is merely late. Unknown kinds come last.
_GRAVE = (
    "audit_heads",
    "audit_gap",
    "disk_filling",
    "log_not_archived",
    "task_failed",
    "build_behind",
    "server_busy",
    "trail_unsealed",
    "monitoring_failed",
)
_MILD = ("run_late", "backup_old", "view_stale", "records_refused", "partition_held")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that should not be. `runbook` names its section of docs/operations.md; `since` is None for what is seen now."""

    kind: str
    subject: str
    title: str
    message: str
    tone: Literal["bad", "warning"]
    runbook: str | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a page answers to its one question: a headline, a sentence, and how it is coloured."""

    tone: Tone
    headline: str
    sentence: str


def finding_of(alert: OpenAlert) -> Finding:
    """Return an alert as a finding."""
    return Finding(
        kind=alert.kind,
        subject=alert.subject,
        title=alert.kind.replace("_", " ").capitalize(),
        message=alert.message,
        tone="warning" if alert.kind in _MILD else "bad",
        runbook=alert.kind,
        since=alert.raised_at,
    )


def ranked(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings, the worst first, each kind and subject once: an alert wins over what is seen now."""
    order = {kind: place for place, kind in enumerate((*_GRAVE, *_MILD))}
    first: dict[tuple[str, str], Finding] = {}
    for finding in findings:
        known = first.get((finding.kind, finding.subject))
        if known is None or (known.since is None and finding.since is not None):
            first[finding.kind, finding.subject] = finding
    return tuple(
        sorted(
            first.values(),
            key=lambda one: (one.tone != "bad", order.get(one.kind, len(order)), one.kind, one.subject),
        )
    )


def answer_of(findings: Sequence[Finding], *, good: Answer, question: str) -> Answer:
    """Return the answer: the worst finding and how many more, or `good` where there is none.

    `question` is what is not the case, such as "The warehouse is not healthy".
    """
    if not findings:
        return good
    worst = findings[0]
    grave = sum(finding.tone == "bad" for finding in findings)
    more = len(findings) - 1
    beside = f" {more} more {'finding' if more == 1 else 'findings'} below." if more else ""
    headline = f"{question}: {worst.title[:1].lower()}{worst.title[1:]}, {worst.subject}"
    return Answer("bad" if grave else "warning", headline, worst.message + beside)
