-- One row per candidate state (organization, learner, course, day, collected hour), with what must not be true of it.
with

-- The first time zone of an organization also covers all time before it.
time_zones as (

    select
        organization_id,
        time_zone,
        case
            when row_number() over organization_zones = 1 then '-infinity'::timestamptz
            else effective_from
        end as effective_from,
        coalesce(lead(effective_from) over organization_zones, 'infinity') as effective_to
    from core.organization_time_zones
    window organization_zones as (partition by organization_id order by effective_from)

)

select
    states.organization_id,
    states.learner_id,
    states.course_id,
    states.activity_date,
    states.collected_hour,
    hours.organization_id is null as is_of_another_hour,
    -- A local day is one stretch of time, so all events lie on it when the first and the last do. (A last event of another
    -- zone period is left to the states of that period's other learners.)
    (
        (states.first_event_at at time zone time_zones.time_zone)::date <> states.activity_date
        or (
            states.last_event_at <> states.first_event_at
            and states.last_event_at < time_zones.effective_to
            and (states.last_event_at at time zone time_zones.time_zone)::date <> states.activity_date
        )
    ) as is_on_a_wrong_day,
    states.event_count < 1 as is_without_events,
    (
        least(states.activity_count, states.attempt_count, states.score_count, states.contributions) < 0
        or greatest(states.activity_count, states.attempt_count, states.score_count, states.contributions) > states.event_count
        or greatest(
            cardinality(states.viewed_object_ids),
            cardinality(states.attempted_object_ids),
            cardinality(states.passed_object_ids)
        ) > states.event_count
    ) as has_more_parts_than_events,
    abs(states.score_sum) > states.score_count as is_scored_out_of_range,
    states.first_event_at > states.last_event_at as ends_before_it_begins,
    (
        states.course_completed_at not between states.first_event_at and states.last_event_at
        or states.last_registered_at not between states.first_event_at and states.last_event_at
        or states.last_unregistered_at not between states.first_event_at and states.last_event_at
    ) as has_milestones_outside_its_events,
    states.last_event_at >= states.collected_hour + interval '65 minutes' as is_in_the_future
from build.int_learner_day__states as states
left join build.int_build__hours as hours
    on
        states.organization_id = hours.organization_id
        and states.collected_hour = hours.collected_hour
left join time_zones
    on
        states.organization_id = time_zones.organization_id
        and states.first_event_at >= time_zones.effective_from
        and states.first_event_at < time_zones.effective_to
