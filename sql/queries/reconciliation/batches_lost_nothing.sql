-- Per batch of the build: every record read is a raw row, a duplicate or in quarantine, and every raw row of a source with
-- event keys has its key (a key without a row would turn a re-delivery of a lost event into a duplicate).
with

raw_rows as (

    select
        organization_id,
        batch_id,
        sum(row_count) as row_count,
        coalesce(sum(row_count) filter (where is_open), 0) as open_row_count,
        min(first_on) as first_on,
        max(last_on) as last_on
    from build.audited_raw_rows
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
    inner join build.audited_batches as batches
        on
            quarantine.organization_id = batches.organization_id
            and quarantine.batch_id = batches.batch_id
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
    inner join build.audited_batches as batches
        on
            ledger.organization_id = batches.organization_id
            and ledger.batch_id = batches.batch_id
            and batches.has_event_keys
    where
        ledger.activity_date >= (select min(first_on) from raw_rows)
        and ledger.activity_date <= (select max(last_on) from raw_rows)
        and ledger.batch_id >= (select min(batch_id) from build.audited_batches)
        and ledger.batch_id <= (select max(batch_id) from build.audited_batches)
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
    batches.organization_id,
    batches.batch_id,
    batches.records_read,
    batches.events_accepted,
    coalesce(raw_rows.row_count, 0) as raw_rows,
    batches.duplicates,
    batches.quarantined,
    coalesce(quarantine_rows.row_count, 0) as quarantine_rows,
    case when batches.has_event_keys then coalesce(raw_rows.open_row_count, 0) end as expected_keys,
    case when batches.has_event_keys then coalesce(event_keys.key_count, 0) end as event_keys,
    (
        batches.records_read
        <> batches.events_accepted + batches.duplicates + batches.quarantined
        or batches.events_accepted <> coalesce(raw_rows.row_count, 0)
        or batches.quarantined <> coalesce(quarantine_rows.row_count, 0)
        or (
            batches.has_event_keys
            and coalesce(event_keys.key_count, 0) <> coalesce(raw_rows.open_row_count, 0)
        )
    ) as is_mismatch
from build.audited_batches as batches
left join raw_rows
    on
        batches.organization_id = raw_rows.organization_id
        and batches.batch_id = raw_rows.batch_id
left join quarantine_rows
    on
        batches.organization_id = quarantine_rows.organization_id
        and batches.batch_id = quarantine_rows.batch_id
left join event_keys
    on
        batches.organization_id = event_keys.organization_id
        and batches.batch_id = event_keys.batch_id
