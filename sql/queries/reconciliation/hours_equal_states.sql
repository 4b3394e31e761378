-- Per organization and collected hour of the build: raw rows that count against the candidate states.
-- A void that was collected while the build ran has taken an event from the raw rows that the states still hold: as many
-- events may differ as such voids have come, and then only their number is compared. Their hours are pending again.
with

interaction_verbs as (

    select
        verbs.organization_id,
        verbs.verb_id
    from core.verbs as verbs
    left join build.event_kinds as kinds
        on verbs.iri = kinds.verb_iri
    inner join build.event_kind_flags as flags
        on flags.event_kind = coalesce(kinds.event_kind, 'other')
    where flags.is_interaction

),

hours as (

    select
        batches.organization_id,
        batches.collected_hour,
        sum(raw_rows.row_count) as event_count,
        coalesce(sum(raw_rows.quantity) filter (where interaction_verbs.verb_id is not null), 0) as interaction_count,
        sum(raw_rows.score_count) as score_count,
        coalesce(sum(raw_rows.score_sum), 0) as score_sum
    from build.audited_batches as batches
    inner join build.audited_raw_rows as raw_rows
        on
            batches.organization_id = raw_rows.organization_id
            and batches.batch_id = raw_rows.batch_id
            and raw_rows.is_counted
            and raw_rows.is_open
    left join interaction_verbs
        on
            raw_rows.organization_id = interaction_verbs.organization_id
            and raw_rows.verb_id = interaction_verbs.verb_id
    group by
        batches.organization_id,
        batches.collected_hour

),

states as (

    select
        organization_id,
        collected_hour,
        sum(event_count) as event_count,
        sum(interaction_count) as interaction_count,
        sum(score_count) as score_count,
        sum(score_sum) as score_sum
    from build.int_learner_day__states
    group by
        organization_id,
        collected_hour

),

later_voids as (

    select
        later.organization_id,
        count(*) as voids
    from (
        select
            organization_id,
            min(collected_hour) as collected_hour
        from build.audited_batches as batches
        group by organization_id
    ) as first_hours
    inner join ops.batches as later
        on
            first_hours.organization_id = later.organization_id
            and first_hours.collected_hour <= later.collected_hour
    inner join stage_one.raw_data_collection as events
        on
            later.organization_id = events.organization_id
            and later.batch_id = events.batch_id
            and events.is_void
    where
        not exists (
            select 1
            from build.audited_batches as batches
            where
                batches.organization_id = later.organization_id
                and batches.batch_id = later.batch_id
        )
    group by later.organization_id

)

select
    coalesce(hours.organization_id, states.organization_id) as organization_id,
    coalesce(hours.collected_hour, states.collected_hour) as collected_hour,
    coalesce(hours.event_count, 0) as raw_events,
    coalesce(states.event_count, 0) as state_events,
    coalesce(hours.interaction_count, 0) as raw_interactions,
    coalesce(states.interaction_count, 0) as state_interactions,
    coalesce(hours.score_count, 0) as raw_scores,
    coalesce(states.score_count, 0) as state_scores,
    coalesce(later_voids.voids, 0) as voids_since_the_build_began,
    case
        when later_voids.voids is null then (
            coalesce(hours.event_count, 0) <> coalesce(states.event_count, 0)
            or coalesce(hours.interaction_count, 0) <> coalesce(states.interaction_count, 0)
            or coalesce(hours.score_count, 0) <> coalesce(states.score_count, 0)
            or coalesce(hours.score_sum, 0) <> coalesce(states.score_sum, 0)
        )
        else coalesce(states.event_count, 0) - coalesce(hours.event_count, 0) not between 0 and later_voids.voids
    end as is_mismatch
from hours
full join states
    on
        hours.organization_id = states.organization_id
        and hours.collected_hour = states.collected_hour
left join later_voids
    on later_voids.organization_id = coalesce(hours.organization_id, states.organization_id)
