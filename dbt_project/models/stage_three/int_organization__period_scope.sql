{{ config(materialized="ephemeral") }}
-- Grain: one row per organization with a dirty closed day: from when on its weeks, months and years are told anew.
-- Weeks reach back as far as a cohort looks ahead.
{% set cohort_distances = [1, 2, 4, 8] %}
select
    organization_id,
    closed_through,
    first_event_on,
    greatest(
        {{ week_start('greatest(dirty_from, first_event_on)') }} - 7 * {{ cohort_distances | max }},
        {{ week_start('first_event_on') }}
    ) as weeks_from,
    {{ period_start('month', 'greatest(dirty_from, first_event_on)') }} as months_from,
    {{ period_start('year', 'greatest(dirty_from, first_event_on)') }} as years_from
from {{ ref('int_build__organizations') }}
where
    first_event_on is not null
    and greatest(dirty_from, first_event_on) <= closed_through
