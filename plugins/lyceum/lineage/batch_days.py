"""Which batch brought events of which day: written down with each publish, because raw rows are gone a day later."""

from __future__ import annotations

from lyceum.database import Connection


def remember_batch_days(connection: Connection, build_id: int) -> int:
    """Write down the days of the build's batches, in the caller's transaction; return how many rows.

    What is written of a batch that an earlier build covered is replaced. Days of sealed weeks, whose raw rows are not told again,
    stay as they were written. One scan of the build's raw rows.
    """
    return connection.execute(
        """
        insert into ops.batch_days (organization_id, activity_date, batch_id, build_id, events, voided_events)
        select
            events.organization_id,
            events.activity_date,
            events.batch_id,
            %(build)s,
            count(*) filter (where not events.is_voided),
            count(*) filter (where events.is_voided)
        from stage_one.raw_data_collection as events
        inner join ops.build_batches as scope
            on
                events.organization_id = scope.organization_id
                and events.batch_id = scope.batch_id
        left join build.int_build__sealed_weeks as sealed_weeks
            on
                events.organization_id = sealed_weeks.organization_id
                and events.activity_date - mod(events.activity_date - date '1900-01-01', 7) = sealed_weeks.week_start
        where scope.build_id = %(build)s and not events.is_void and sealed_weeks.week_start is null
        group by events.organization_id, events.activity_date, events.batch_id
        on conflict (organization_id, activity_date, batch_id) do update
        set
            build_id = excluded.build_id,
            events = excluded.events,
            voided_events = excluded.voided_events
        """,
        {"build": build_id},
    ).rowcount
