-- Per learner and course: the lifetime that the candidate sums over days, against the published year rows without the days
-- that are not closed yet.
with

organizations as (

    select
        organization_id,
        window_ends_on
    from ops.view_scope
    where view_name = 'mv_learner_analytics_summary'

),

parts as (

    select
        published.organization_id,
        published.subject_id,
        published.course_id,
        case when published.period_type = 'year' then 1 else -1 end as sign,
        coalesce(published.active_days, 0) as active_days,
        coalesce(published.event_count, 0) as event_count,
        coalesce(published.interaction_count, 0) as interaction_count,
        coalesce(published.active_minutes, 0) as active_minutes,
        coalesce(published.time_on_task_seconds, 0) as time_on_task_seconds,
        coalesce(published.resources_viewed, 0) as resources_viewed,
        coalesce(published.videos_completed, 0) as videos_completed,
        coalesce(published.video_seconds_watched, 0) as video_seconds_watched,
        coalesce(published.assessments_passed, 0) as assessments_passed,
        coalesce(published.attempt_count, 0) as attempt_count,
        coalesce(published.score_sum, 0) as score_sum,
        coalesce(published.score_count, 0) as score_count,
        coalesce(published.contributions, 0) as contributions,
        coalesce(published.completions, 0) as completions
    from stage_three.aggregated_analytics as published
    inner join organizations
        on published.organization_id = organizations.organization_id
    where
        published.subject_type = 'learner'
        and published.scope = 'course'
        and (
            published.period_type = 'year'
            or (published.period_type = 'day' and published.period_start > organizations.window_ends_on)
        )

),

years as (

    select
        organization_id,
        subject_id,
        course_id,
        sum(sign * active_days) as active_days,
        sum(sign * event_count) as event_count,
        sum(sign * interaction_count) as interaction_count,
        sum(sign * active_minutes) as active_minutes,
        sum(sign * time_on_task_seconds) as time_on_task_seconds,
        sum(sign * resources_viewed) as resources_viewed,
        sum(sign * videos_completed) as videos_completed,
        sum(sign * video_seconds_watched) as video_seconds_watched,
        sum(sign * assessments_passed) as assessments_passed,
        sum(sign * attempt_count) as attempt_count,
        sum(sign * score_sum) as score_sum,
        sum(sign * score_count) as score_count,
        sum(sign * contributions) as contributions,
        sum(sign * completions) as completions
    from parts
    group by
        organization_id,
        subject_id,
        course_id

)

select
    candidates.organization_id,
    candidates.learner_id,
    candidates.course_id,
    candidates.lifetime_event_count,
    coalesce(years.event_count, 0) as event_count_of_years,
    (
        coalesce(candidates.lifetime_active_days, 0) <> coalesce(years.active_days, 0)
        or coalesce(candidates.lifetime_event_count, 0) <> coalesce(years.event_count, 0)
        or coalesce(candidates.lifetime_interaction_count, 0) <> coalesce(years.interaction_count, 0)
        or coalesce(candidates.lifetime_active_minutes, 0) <> coalesce(years.active_minutes, 0)
        or coalesce(candidates.lifetime_time_on_task_seconds, 0) <> coalesce(years.time_on_task_seconds, 0)
        or coalesce(candidates.lifetime_resources_viewed, 0) <> coalesce(years.resources_viewed, 0)
        or coalesce(candidates.lifetime_videos_completed, 0) <> coalesce(years.videos_completed, 0)
        or coalesce(candidates.lifetime_video_seconds_watched, 0) <> coalesce(years.video_seconds_watched, 0)
        or coalesce(candidates.lifetime_assessments_passed, 0) <> coalesce(years.assessments_passed, 0)
        or coalesce(candidates.lifetime_attempt_count, 0) <> coalesce(years.attempt_count, 0)
        or coalesce(candidates.lifetime_score_sum, 0) <> coalesce(years.score_sum, 0)
        or coalesce(candidates.lifetime_score_count, 0) <> coalesce(years.score_count, 0)
        or coalesce(candidates.lifetime_contributions, 0) <> coalesce(years.contributions, 0)
        or coalesce(candidates.lifetime_completions, 0) <> coalesce(years.completions, 0)
    ) as is_mismatch
from build.mv_learner_analytics_summary as candidates
left join years
    on
        candidates.organization_id = years.organization_id
        and candidates.learner_id = years.subject_id
        and candidates.course_id = years.course_id
