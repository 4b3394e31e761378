-- One row per organization: how much of what its sources say we understand. Sources without event keys speak our own
-- vocabulary (their adapter writes it), so only the batches with keys are read.
with

build_batches as (

    select
        batches.organization_id,
        batches.batch_id,
        batches.collected_at
    from ops.build_batches as scope
    inner join ops.current_build as build
        on scope.build_id = build.build_id
    inner join ops.batches as batches
        on
            scope.organization_id = batches.organization_id
            and scope.batch_id = batches.batch_id
    where batches.has_event_keys

),

meanings as (

    select
        events.organization_id,
        events.verb_id,
        events.course_id,
        count(*) as events
    from stage_one.raw_data_collection as events
    inner join build_batches
        on
            events.organization_id = build_batches.organization_id
            and events.batch_id = build_batches.batch_id
    where
        not events.is_void
        and events.collected_at >= (select min(collected_at) from build_batches)
        and events.collected_at <= (select max(collected_at) from build_batches)
    group by
        events.organization_id,
        events.verb_id,
        events.course_id

)

select
    meanings.organization_id,
    round(sum(meanings.events) filter (where kinds.verb_iri is null) / sum(meanings.events), 6) as share_of_unknown_verbs,
    round(sum(meanings.events) filter (where courses.is_unassigned) / sum(meanings.events), 6) as share_of_unassigned_events
from meanings
left join core.verbs as verbs
    on
        meanings.organization_id = verbs.organization_id
        and meanings.verb_id = verbs.verb_id
left join build.event_kinds as kinds
    on verbs.iri = kinds.verb_iri
left join core.courses as courses
    on
        meanings.organization_id = courses.organization_id
        and meanings.course_id = courses.course_id
group by meanings.organization_id
