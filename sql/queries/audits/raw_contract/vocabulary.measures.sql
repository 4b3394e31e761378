-- One row per organization: how much of what its sources say we understand. Sources without event keys speak our own
-- vocabulary (their adapter writes it), so only the batches with keys are read.
with

meanings as (

    select
        events.organization_id,
        events.verb_id,
        events.course_id,
        count(*) as events
    from stage_one.raw_data_collection as events
    inner join build.audited_batches as batches
        on
            events.organization_id = batches.organization_id
            and events.batch_id = batches.batch_id
    where
        batches.has_event_keys
        and not events.is_void
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
