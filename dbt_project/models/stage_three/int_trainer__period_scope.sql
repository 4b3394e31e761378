{{ config(materialized="ephemeral") }}
-- Grain: one row per organization with a dirty closed day: from when on the periods of its trainers are told anew.
select
    organization_id,
    closed_through,
    greatest(dirty_from, first_event_on) as days_from,
    {{ week_start('greatest(dirty_from, first_event_on)') }} as weeks_from,
    {{ period_start('month', 'greatest(dirty_from, first_event_on)') }} as months_from,
    {{ period_start('year', 'greatest(dirty_from, first_event_on)') }} as years_from
from {{ ref('int_build__organizations') }}
where
    first_event_on is not null
    and greatest(dirty_from, first_event_on) <= closed_through
