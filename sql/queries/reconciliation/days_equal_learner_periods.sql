-- Per organization, scope, week, month and year: the day rows of the touched learners (candidates, and published ones of
-- the days before the first touched one) against their candidate period rows.
with

learners as (

    select
        organization_id,
        learner_id,
        touched_from,
        touched_from - mod(touched_from - date '1900-01-01', 7) as weeks_from,
        date_trunc('month', touched_from::timestamp)::date as months_from,
        date_trunc('year', touched_from::timestamp)::date as years_from
    from build.int_build__learners

),

earlier_days as (

    select
        published.organization_id,
        published.scope,
        periods.period_type,
        periods.period_start,
        sum(published.event_count) as event_count,
        sum(published.interaction_count) as interaction_count,
        sum(published.active_minutes) as active_minutes,
        sum(published.time_on_task_seconds) as time_on_task_seconds,
        sum(published.video_seconds_watched) as video_seconds_watched,
        sum(published.attempt_count) as attempt_count,
        sum(published.score_sum) as score_sum,
        sum(published.completions) as completions,
        count(*) filter (where published.is_active) as active_days,
        sum(
            published.event_count * (mod(published.subject_id * 31 + coalesce(published.course_id, 0), 1009) + 1)
        ) as fingerprint
    from learners
    inner join stage_three.aggregated_analytics as published
        on
            learners.organization_id = published.organization_id
            and learners.learner_id = published.subject_id
            and published.period_start >= least(learners.weeks_from, learners.years_from)
            and published.period_start < learners.touched_from
    cross join lateral (
        values
        ('week', learners.weeks_from),
        ('month', learners.months_from),
        ('year', learners.years_from)
    ) as periods (period_type, period_start)
    where
        published.subject_type = 'learner'
        and published.period_type = 'day'
        and published.period_start >= periods.period_start
    group by
        published.organization_id,
        published.scope,
        periods.period_type,
        periods.period_start

),

days as (

    select
        candidate_days.organization_id,
        candidate_days.scope,
        periods.period_type,
        periods.period_start,
        candidate_days.event_count,
        candidate_days.interaction_count,
        candidate_days.active_minutes,
        candidate_days.time_on_task_seconds,
        candidate_days.video_seconds_watched,
        candidate_days.attempt_count,
        candidate_days.score_sum,
        candidate_days.completions,
        candidate_days.active_rows as active_days,
        candidate_days.fingerprint
    from build.audited_learner_days as candidate_days
    cross join lateral (
        values
        ('week', candidate_days.activity_date - mod(candidate_days.activity_date - date '1900-01-01', 7)),
        ('month', date_trunc('month', candidate_days.activity_date::timestamp)::date),
        ('year', date_trunc('year', candidate_days.activity_date::timestamp)::date)
    ) as periods (period_type, period_start)

    union all

    select * from earlier_days

),

day_sums as (

    select
        organization_id,
        scope,
        period_type,
        period_start,
        sum(event_count) as event_count,
        sum(interaction_count) as interaction_count,
        sum(active_minutes) as active_minutes,
        sum(time_on_task_seconds) as time_on_task_seconds,
        sum(video_seconds_watched) as video_seconds_watched,
        sum(attempt_count) as attempt_count,
        sum(score_sum) as score_sum,
        sum(completions) as completions,
        sum(active_days) as active_days,
        sum(fingerprint) as fingerprint
    from days
    group by
        organization_id,
        scope,
        period_type,
        period_start

),

period_sums as (

    select
        candidates.organization_id,
        candidates.scope,
        candidates.period_type,
        candidates.period_start,
        sum(candidates.event_count) as event_count,
        sum(candidates.interaction_count) as interaction_count,
        sum(candidates.active_minutes) as active_minutes,
        sum(candidates.time_on_task_seconds) as time_on_task_seconds,
        sum(candidates.video_seconds_watched) as video_seconds_watched,
        sum(candidates.attempt_count) as attempt_count,
        sum(candidates.score_sum) as score_sum,
        sum(candidates.completions) as completions,
        sum(candidates.active_days) as active_days,
        sum(
            candidates.event_count * (mod(candidates.learner_id * 31 + coalesce(candidates.course_id, 0), 1009) + 1)
        ) as fingerprint
    from build.int_learner_periods as candidates
    inner join learners
        on
            candidates.organization_id = learners.organization_id
            and candidates.learner_id = learners.learner_id
            and candidates.period_start >= case candidates.period_type
                when 'week' then learners.weeks_from
                when 'month' then learners.months_from
                else learners.years_from
            end
    group by
        candidates.organization_id,
        candidates.scope,
        candidates.period_type,
        candidates.period_start

)

select
    coalesce(day_sums.organization_id, period_sums.organization_id) as organization_id,
    coalesce(day_sums.scope, period_sums.scope) as scope,
    coalesce(day_sums.period_type, period_sums.period_type) as period_type,
    coalesce(day_sums.period_start, period_sums.period_start) as period_start,
    day_sums.event_count as day_row_events,
    period_sums.event_count as period_row_events,
    day_sums.active_days as day_row_active_days,
    period_sums.active_days as period_row_active_days,
    day_sums.time_on_task_seconds as day_row_seconds,
    period_sums.time_on_task_seconds as period_row_seconds,
    day_sums.fingerprint as day_row_fingerprint,
    period_sums.fingerprint as period_row_fingerprint,
    (
        day_sums.event_count is distinct from period_sums.event_count
        or day_sums.interaction_count is distinct from period_sums.interaction_count
        or day_sums.active_minutes is distinct from period_sums.active_minutes
        or day_sums.time_on_task_seconds is distinct from period_sums.time_on_task_seconds
        or day_sums.video_seconds_watched is distinct from period_sums.video_seconds_watched
        or day_sums.attempt_count is distinct from period_sums.attempt_count
        or day_sums.score_sum is distinct from period_sums.score_sum
        or day_sums.completions is distinct from period_sums.completions
        or day_sums.active_days is distinct from period_sums.active_days
        or day_sums.fingerprint is distinct from period_sums.fingerprint
    ) as is_mismatch
from day_sums
full join period_sums
    on
        day_sums.organization_id = period_sums.organization_id
        and day_sums.scope = period_sums.scope
        and day_sums.period_type = period_sums.period_type
        and day_sums.period_start = period_sums.period_start
