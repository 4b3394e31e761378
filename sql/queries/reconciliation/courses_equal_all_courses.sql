-- Per organization and day: the course rows of the touched learners against their across-courses rows. Counts add; minutes,
-- objects and segments unite, so across courses there are never more of them than in the courses together.
with

course_days as (

    select * from build.audited_learner_days
    where scope = 'course'

),

across_days as (

    select * from build.audited_learner_days
    where scope = 'all_courses'

)

select
    coalesce(course_days.organization_id, across_days.organization_id) as organization_id,
    coalesce(course_days.activity_date, across_days.activity_date) as activity_date,
    course_days.event_count as course_row_events,
    across_days.event_count as across_row_events,
    course_days.active_minutes as course_row_minutes,
    across_days.active_minutes as across_row_minutes,
    course_days.video_seconds_watched as course_row_video_seconds,
    across_days.video_seconds_watched as across_row_video_seconds,
    (
        course_days.event_count is distinct from across_days.event_count
        or course_days.interaction_count is distinct from across_days.interaction_count
        or course_days.attempt_count is distinct from across_days.attempt_count
        or course_days.score_count is distinct from across_days.score_count
        or course_days.score_sum is distinct from across_days.score_sum
        or course_days.contributions is distinct from across_days.contributions
        or course_days.completions is distinct from across_days.completions
        or across_days.active_minutes > course_days.active_minutes
        or across_days.resources_viewed > course_days.resources_viewed
        or across_days.videos_started > course_days.videos_started
        or across_days.video_seconds_watched > course_days.video_seconds_watched
        or (course_days.active_minutes is null) <> (across_days.active_minutes is null)
    ) as is_mismatch
from course_days
full join across_days
    on
        course_days.organization_id = across_days.organization_id
        and course_days.activity_date = across_days.activity_date
