-- One row per candidate state (organization, learner, course, day, collected hour), with what must not be true of it.
select
    states.organization_id,
    states.learner_id,
    states.course_id,
    states.activity_date,
    states.collected_hour,
    hours.organization_id is null as is_of_another_hour,
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
