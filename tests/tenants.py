"""A tenant for tests of collection: events are made in a line, delivered as inputs, and read back from the warehouse."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lyceum import organizations
from lyceum.collect.reports import CollectReport, silent
from lyceum.collect.runs import Collector, open_run
from lyceum.records import Chunk, Event, IdentityHasher, Input, Refusal
from warehouse import Warehouse

AS_OF = datetime(2024, 5, 15, 12, 30, tzinfo=UTC)
"""A Wednesday. The weeks of 6 and 13 May are open; that of 29 April closed on 12 May at midnight in UTC."""

VIEWED = "http://id.tincanapi.com/verb/viewed"


def at(text: str) -> datetime:
    """Return an instant in UTC, such as `05-14 10:00` of 2024."""
    year = "" if text[4:5] == "-" else "2024-"
    return datetime.fromisoformat(year + text).replace(tzinfo=UTC)


def event_id(number: int) -> bytes:
    """Return an id that is as random as those of real statements, and the same for the same number."""
    return uuid.uuid5(uuid.NAMESPACE_OID, str(number)).bytes


def event(number: int, occurred: str = "05-14 10:00", *, content: str = "", learner: str = "ada", **more: Any) -> Event:
    """Return an event whose id is `number`; its content is its instant, its learner and `content`."""
    occurred_at = at(occurred)
    return Event(
        ordinal=0,
        event_id=event_id(number),
        content_hash=digest(f"{occurred_at.isoformat()} {learner} {content}"),
        occurred_at=occurred_at,
        learner=digest(learner),
        verb=more.pop("verb", VIEWED),
        object=more.pop("object", "https://example.org/page"),
        payload=more.pop("payload", b'{"number":%d}' % number),
        **more,
    )


def void(number: int, target: int, occurred: str = "05-14 11:00") -> Event:
    """Return an event that voids the event `target`."""
    return event(
        number,
        occurred,
        content=f"voids {target}",
        voids=event_id(target),
        verb="http://adlnet.gov/expapi/verbs/voided",
    )


def refusal(reason: Any = "invalid") -> Refusal:
    """Return a record that the adapter refuses."""
    return Refusal(ordinal=0, reason=reason, detail="Found something. Expected something else.", byte_length=17)


def digest(text: str) -> bytes:
    """Return 32 bytes that stand for the text."""
    return hashlib.sha256(text.encode()).digest()


def deliver(*records: Event | Refusal, name: str = "statements.ndjson", chunk_records: int = 20_000) -> Input:
    """Return an input that holds the records in this order. The same records are the same input, whatever its name."""
    numbered = [_renumbered(record, ordinal) for ordinal, record in enumerate(records, 1)]

    def chunks(next_ordinal: int, _: IdentityHasher) -> Iterator[Chunk]:
        for first in range(0, len(numbered), chunk_records):
            part = numbered[first : first + chunk_records]
            if first + 1 >= next_ordinal:
                yield Chunk(
                    first_ordinal=first + 1,
                    last_ordinal=first + len(part),
                    events=[record for record in part if isinstance(record, Event)],
                    refusals=[record for record in part if isinstance(record, Refusal)],
                )

    return Input(
        name=name,
        fingerprint=digest(repr([str(record) for record in numbered])),
        byte_length=1000 * len(numbered),
        chunks=chunks,
        progress_total=len(numbered),
    )


def _renumbered(record: Event | Refusal, ordinal: int) -> Event | Refusal:
    copied = type(record)(**{name: getattr(record, name) for name in record.__struct_fields__})
    copied.ordinal = ordinal
    return copied


@dataclass(frozen=True, slots=True)
class Tenant:
    """An organization of a test's own warehouse."""

    warehouse: Warehouse
    organization: organizations.Organization

    def collect(
        self, *inputs: Input, as_of: datetime = AS_OF, is_history: bool = False, source: str = "xapi"
    ) -> CollectReport:
        """Collect the inputs as one run."""
        with open_run(
            self.warehouse.target,
            self.warehouse.settings,
            organization=self.organization.slug,
            source=source,
            source_format="xapi",
            as_of=as_of,
            is_history=is_history,
            run_id="test",
        ) as run:
            with Collector(run, silent) as collector:
                collector.collect(inputs)
            return collector.report()

    def query(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a query; `{organization}` in it is this tenant's id."""
        with self.warehouse.connect() as connection:
            text = query.replace("{organization}", str(self.organization.organization_id))
            return connection.execute(text, parameters or None).fetchall()  # type: ignore[arg-type]

    def accepted(self) -> set[bytes]:
        """Return the ids of the accepted events that have a raw row."""
        rows = self.query("select event_id from stage_one.raw_data_collection where organization_id = {organization}")
        return {value.bytes for (value,) in rows}

    def refused(self) -> list[tuple[int, str]]:
        """Return ordinal and reason of the unresolved rows in quarantine, in order."""
        return [
            (ordinal, reason)
            for ordinal, reason in self.query(
                "select ordinal, reason from stage_one.quarantine "
                "where organization_id = {organization} and resolution is null order by quarantine_id"
            )
        ]

    def set_week(self, week: str, state: str) -> None:
        """Put a week into a state, as a seal would."""
        sealed_at = AS_OF if state == "sealed" else None
        with self.warehouse.connect() as connection:
            connection.execute(
                """
                insert into ops.week_states (organization_id, week_start, state, opened_at, sealed_at)
                values (%s, %s, %s, %s, %s)
                on conflict (organization_id, week_start) do update set state = excluded.state, sealed_at = excluded.sealed_at
                """,
                [self.organization.organization_id, week, state, AS_OF, sealed_at],
            )

    def check_books(self) -> None:
        """Assert that stage one, the ledger and the quarantine hold what the batches say."""
        wrong = self.query(
            """
            select batches.batch_id
            from ops.batches as batches
            left join lateral (
                select count(*) as rows from stage_one.raw_data_collection as raw
                where raw.organization_id = batches.organization_id and raw.batch_id = batches.batch_id
                    and raw.collected_at = batches.collected_at
            ) as raw on true
            left join lateral (
                select count(*) as rows from stage_one.event_keys as keys
                where keys.organization_id = batches.organization_id and keys.batch_id = batches.batch_id
            ) as keys on true
            left join lateral (
                select count(*) as rows from stage_one.quarantine as quarantine
                where quarantine.organization_id = batches.organization_id and quarantine.batch_id = batches.batch_id
            ) as quarantine on true
            where raw.rows <> batches.events_accepted
                or keys.rows <> case when batches.has_event_keys then batches.events_accepted else 0 end
                or quarantine.rows <> batches.quarantined
            """
        )
        assert wrong == []
        duplicated = self.query(
            "select event_id from stage_one.raw_data_collection group by organization_id, event_id having count(*) > 1"
        )
        assert duplicated == []
