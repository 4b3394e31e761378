-- One row per candidate video state, with what must not be true of it.
select
    states.organization_id,
    states.learner_id,
    states.course_id,
    states.object_id,
    states.activity_date,
    states.collected_hour,
    hours.organization_id is null as is_of_another_hour,
    (states.length_seconds <= 0 or states.length_seconds >= 1000000000) as is_of_impossible_length,
    (
        isempty(states.watched_segments)
        or lower_inf(states.watched_segments)
        or upper_inf(states.watched_segments)
    ) as is_watched_without_bounds
from build.int_learner_video_day__states as states
left join build.int_build__hours as hours
    on
        states.organization_id = hours.organization_id
        and states.collected_hour = hours.collected_hour
