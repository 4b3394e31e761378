-- One row per candidate learner row (organization, learner, course or across courses, day), with what must not be true of it.
select
    candidates.organization_id,
    candidates.learner_id,
    candidates.course_id,
    candidates.activity_date,
    learners.learner_id is null as is_of_an_untouched_learner,
    (candidates.course_id is null) <> (candidates.scope = 'all_courses') as has_an_inconsistent_scope,
    candidates.event_count < 1 as is_without_events,
    least(
        candidates.interaction_count,
        candidates.resources_viewed,
        candidates.videos_started,
        candidates.videos_completed,
        candidates.assessments_attempted,
        candidates.assessments_passed,
        candidates.attempt_count,
        candidates.score_count,
        candidates.contributions,
        candidates.completions
    ) < 0 or candidates.video_seconds_watched < 0 as has_negative_counts,
    greatest(
        candidates.resources_viewed,
        candidates.videos_started,
        candidates.videos_completed,
        candidates.assessments_attempted,
        candidates.assessments_passed,
        candidates.attempt_count,
        candidates.score_count,
        candidates.contributions
    ) > candidates.event_count as has_more_parts_than_events,
    candidates.interaction_count > 0 and not candidates.is_active as interacts_without_activity,
    (
        (candidates.active_minutes is null) <> (candidates.session_count is null)
        or (candidates.active_minutes is null) <> (candidates.time_on_task_seconds is null)
        or candidates.session_count < 1
        or candidates.session_count > candidates.active_minutes
        or candidates.time_on_task_seconds < 60 * candidates.active_minutes
    ) as has_inconsistent_time,
    -- The day on which daylight saving ends has 25 hours.
    candidates.active_minutes > 1500 or candidates.time_on_task_seconds > 90000 as has_more_time_than_a_day,
    coalesce(candidates.first_event_at > candidates.last_event_at, true) as ends_before_it_begins,
    -- The session's time zone is UTC.
    (
        candidates.first_event_at < (candidates.activity_date - 1)::timestamptz
        or candidates.last_event_at > (candidates.activity_date + 2)::timestamptz
    ) as has_events_of_another_day,
    candidates.activity_date > (select max(closed_through) + 2 from build.int_build__organizations) as is_in_the_future,
    abs(candidates.score_sum) > candidates.score_count as is_scored_out_of_range,
    (
        candidates.is_enrolled <> (candidates.enrolled_on is not null)
        or candidates.enrolled_on > candidates.activity_date
    ) as has_an_inconsistent_enrollment,
    (
        candidates.is_completed <> (candidates.completed_at is not null)
        or (candidates.scope = 'course') <> (candidates.is_completed is not null)
        or (candidates.scope = 'course' and candidates.completions > 1)
        or (candidates.scope = 'course' and candidates.completions = 1 and not candidates.is_completed)
    ) as has_an_inconsistent_completion
from build.learner_analytics as candidates
left join build.int_build__learners as learners
    on
        candidates.organization_id = learners.organization_id
        and candidates.learner_id = learners.learner_id
        and candidates.activity_date >= learners.touched_from
