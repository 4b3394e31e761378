-- Per batch of the build: every record read is a raw row, a duplicate or in quarantine, and every raw row of a source with
-- event keys has its key (a key without a row would turn a re-delivery of a lost event into a duplicate).
with

build_batches as (

    select batches.*
    from ops.build_batches as scope
    inner join ops.current_build as build
        on scope.build_id = build.build_id
    inner join ops.batches as batches
        on
            scope.organization_id = batches.organization_id
            and scope.batch_id = batches.batch_id

),

raw_rows as (

    select
        organization_id,
        batch_id,
        sum(row_count) as row_count,
        sum(open_row_count) as open_row_count,
        min(first_on) as first_on,
        max(last_on) as last_on
    from raw_rows_of_build
    group by
        organization_id,
        batch_id

),

quarantine_rows as (

    select
        quarantine.organization_id,
        quarantine.batch_id,
        count(*) as row_count
    from stage_one.quarantine as quarantine
    inner join build_batches
        on
            quarantine.organization_id = build_batches.organization_id
            and quarantine.batch_id = build_batches.batch_id
    group by
        quarantine.organization_id,
        quarantine.batch_id

),

-- The days of the raw rows bound the keys, so that no other week's leaf is read.
event_keys as (

    select
        ledger.organization_id,
        ledger.batch_id,
        count(*) as key_count
    from stage_one.event_keys as ledger
    inner join build_batches
        on
            ledger.organization_id = build_batches.organization_id
            and ledger.batch_id = build_batches.batch_id
            and build_batches.has_event_keys
    where
        ledger.activity_date >= (select min(first_on) from raw_rows)
        and ledger.activity_date <= (select max(last_on) from raw_rows)
        and ledger.batch_id >= (select min(batch_id) from build_batches)
        and ledger.batch_id <= (select max(batch_id) from build_batches)
        and not exists (
            select 1
            from build.int_build__sealed_weeks as sealed_weeks
            where
                sealed_weeks.organization_id = ledger.organization_id
                and sealed_weeks.week_start = ledger.activity_date - mod(ledger.activity_date - date '1900-01-01', 7)
        )
    group by
        ledger.organization_id,
        ledger.batch_id

)

select
    build_batches.organization_id,
    build_batches.batch_id,
    build_batches.records_read,
    build_batches.events_accepted,
    coalesce(raw_rows.row_count, 0) as raw_rows,
    build_batches.duplicates,
    build_batches.quarantined,
    coalesce(quarantine_rows.row_count, 0) as quarantine_rows,
    case when build_batches.has_event_keys then coalesce(raw_rows.open_row_count, 0) end as expected_keys,
    case when build_batches.has_event_keys then coalesce(event_keys.key_count, 0) end as event_keys,
    (
        build_batches.records_read
        <> build_batches.events_accepted + build_batches.duplicates + build_batches.quarantined
        or build_batches.events_accepted <> coalesce(raw_rows.row_count, 0)
        or build_batches.quarantined <> coalesce(quarantine_rows.row_count, 0)
        or (
            build_batches.has_event_keys
            and coalesce(event_keys.key_count, 0) <> coalesce(raw_rows.open_row_count, 0)
        )
    ) as is_mismatch
from build_batches
left join raw_rows
    on
        build_batches.organization_id = raw_rows.organization_id
        and build_batches.batch_id = raw_rows.batch_id
left join quarantine_rows
    on
        build_batches.organization_id = quarantine_rows.organization_id
        and build_batches.batch_id = quarantine_rows.batch_id
left join event_keys
    on
        build_batches.organization_id = event_keys.organization_id
        and build_batches.batch_id = event_keys.batch_id
