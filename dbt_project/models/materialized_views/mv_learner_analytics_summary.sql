{{
    config(
        pre_hook=["set local work_mem = '64MB'", "set local jit = off"],
        post_hook="analyze {{ this }}",
    )
}}
-- Grain: one row per learner and course of the organizations that the refresh tells anew.
-- Windows end on the organization's last closed day; day rows after it (the open day) do not count yet.
{% set windows = ['weekly', 'monthly', 'lifetime'] %}
{% set counts = [
    'event_count', 'interaction_count', 'resources_viewed', 'videos_started', 'videos_completed', 'assessments_attempted',
    'assessments_passed', 'attempt_count', 'score_count', 'contributions', 'completions',
] %}
{% set sums = ['video_seconds_watched', 'score_sum'] %}
{% set known_sums = ['active_minutes', 'session_count', 'time_on_task_seconds'] %}
with

organizations as (

    select * from {{ ref('stg_ops__view_scope') }}
    where view_name = 'mv_learner_analytics_summary'

),

published_courses as (

    select * from {{ ref('stg_stage_three__learner_courses') }}

),

published_days as (

    select * from {{ ref('stg_stage_three__learner_days') }}

),

learner_courses as (

    select
        published_courses.organization_id,
        published_courses.learner_id,
        published_courses.course_id,
        organizations.window_ends_on,
        case when published_courses.completed_on <= organizations.window_ends_on then published_courses.completed_at end
            as completed_at,
        published_courses.at_risk_days @> organizations.window_ends_on as is_at_risk,
        (
            select lower(run)
            from unnest(published_courses.enrolled_days) as run
            where run @> organizations.window_ends_on
        ) as enrolled_on
    from published_courses
    inner join organizations
        on published_courses.organization_id = organizations.organization_id
    where
        published_courses.first_event_on <= organizations.window_ends_on
        or lower(published_courses.enrolled_days) <= organizations.window_ends_on

),

days as (

    select
        published_days.*,
        published_days.activity_date > organizations.window_ends_on - {{ var('weekly_active_days') }} as is_weekly,
        published_days.activity_date > organizations.window_ends_on - {{ var('monthly_active_days') }} as is_monthly,
        true as is_lifetime
    from published_days
    inner join organizations
        on
            published_days.organization_id = organizations.organization_id
            and published_days.activity_date <= organizations.window_ends_on
    where published_days.scope = 'course'

),

windows as (

    select
        organization_id,
        learner_id,
        course_id,
        {% for window in windows %}
        count(*) filter (where is_{{ window }} and is_active) as {{ window }}_active_days,
        {% for column in counts + sums + known_sums %}
        sum({{ column }}) filter (where is_{{ window }}) as {{ window }}_{{ column }},
        {% endfor %}
        {% endfor %}
        min(first_event_at) as first_event_at,
        max(last_event_at) as last_event_at,
        max(activity_date) filter (where is_active) as last_active_on,
        range_agg(daterange(activity_date, activity_date + 1)) filter (where is_active) as active_runs
    from days
    group by
        organization_id,
        learner_id,
        course_id

),

told as (

    select
        learner_courses.organization_id,
        learner_courses.learner_id,
        learner_courses.course_id,
        {% for window in windows %}
        coalesce(windows.{{ window }}_active_days, 0) as {{ window }}_active_days,
        {% for column in counts %}
        coalesce(windows.{{ window }}_{{ column }}, 0)::bigint as {{ window }}_{{ column }},
        {% endfor %}
        {% for column in sums %}
        coalesce(windows.{{ window }}_{{ column }}, 0) as {{ window }}_{{ column }},
        {% endfor %}
        {% for column in known_sums %}
        windows.{{ window }}_{{ column }}::bigint as {{ window }}_{{ column }},
        {% endfor %}
        {{ ratio('windows.' ~ window ~ '_score_sum', 'windows.' ~ window ~ '_score_count') }} as {{ window }}_score_mean,
        {% endfor %}
        windows.first_event_at,
        windows.last_event_at,
        windows.last_active_on,
        coalesce(
            (
                select upper(run) - lower(run)
                from unnest(windows.active_runs) as run
                where run @> learner_courses.window_ends_on
            ),
            0
        ) as current_streak_days,
        coalesce((select max(upper(run) - lower(run)) from unnest(windows.active_runs) as run), 0) as longest_streak_days,
        learner_courses.enrolled_on is not null as is_enrolled,
        learner_courses.enrolled_on,
        learner_courses.completed_at is not null as is_completed,
        learner_courses.completed_at,
        learner_courses.is_at_risk,
        case when windows.weekly_attempt_count > 0 then
            {{ ratio('windows.weekly_attempt_count', 'greatest(windows.weekly_assessments_passed, 1)') }}
        end as weekly_attempts_per_pass
    from learner_courses
    left join windows
        on
            learner_courses.organization_id = windows.organization_id
            and learner_courses.learner_id = windows.learner_id
            and learner_courses.course_id = windows.course_id

),

engagement as (

    select
        organization_id,
        learner_id,
        course_id,
        {{ percent_rank('coalesce(weekly_time_on_task_seconds, weekly_event_count)') }} as engagement_rank
    from told
    where weekly_active_days > 0

),

struggle as (

    select
        organization_id,
        learner_id,
        course_id,
        {{ percent_rank('weekly_attempts_per_pass') }} as struggle_rank
    from told
    where weekly_attempts_per_pass is not null

),

final as (

    select
        told.organization_id,
        told.learner_id,
        told.course_id,
        told.weekly_active_days,
        told.weekly_event_count,
        told.weekly_interaction_count,
        told.weekly_active_minutes,
        told.weekly_session_count,
        told.weekly_time_on_task_seconds,
        told.weekly_resources_viewed,
        told.weekly_videos_started,
        told.weekly_videos_completed,
        told.weekly_video_seconds_watched,
        told.weekly_assessments_attempted,
        told.weekly_assessments_passed,
        told.weekly_attempt_count,
        told.weekly_score_sum,
        told.weekly_score_count,
        told.weekly_score_mean,
        told.weekly_contributions,
        told.weekly_completions,
        told.monthly_active_days,
        told.monthly_event_count,
        told.monthly_interaction_count,
        told.monthly_active_minutes,
        told.monthly_session_count,
        told.monthly_time_on_task_seconds,
        told.monthly_resources_viewed,
        told.monthly_videos_started,
        told.monthly_videos_completed,
        told.monthly_video_seconds_watched,
        told.monthly_assessments_attempted,
        told.monthly_assessments_passed,
        told.monthly_attempt_count,
        told.monthly_score_sum,
        told.monthly_score_count,
        told.monthly_score_mean,
        told.monthly_contributions,
        told.monthly_completions,
        told.lifetime_active_days,
        told.lifetime_event_count,
        told.lifetime_interaction_count,
        told.lifetime_active_minutes,
        told.lifetime_session_count,
        told.lifetime_time_on_task_seconds,
        told.lifetime_resources_viewed,
        told.lifetime_videos_started,
        told.lifetime_videos_completed,
        told.lifetime_video_seconds_watched,
        told.lifetime_assessments_attempted,
        told.lifetime_assessments_passed,
        told.lifetime_attempt_count,
        told.lifetime_score_sum,
        told.lifetime_score_count,
        told.lifetime_score_mean,
        told.lifetime_contributions,
        told.lifetime_completions,
        told.first_event_at,
        told.last_event_at,
        told.last_active_on,
        told.current_streak_days,
        told.longest_streak_days,
        told.is_enrolled,
        told.enrolled_on,
        told.is_completed,
        told.completed_at,
        told.is_at_risk,
        engagement.engagement_rank,
        case
            when engagement.engagement_rank is null then 'inactive'
            when engagement.engagement_rank >= {{ var('engagement_high_rank') }} then 'high'
            when engagement.engagement_rank < {{ var('engagement_low_rank') }} then 'low'
            else 'medium'
        end as engagement_band,
        told.weekly_attempts_per_pass,
        struggle.struggle_rank,
        coalesce(
            told.weekly_attempt_count >= {{ var('struggling_attempts') }}
            and struggle.struggle_rank >= {{ var('struggling_rank') }},
            false
        ) as is_struggling
    from told
    left join engagement
        on
            told.organization_id = engagement.organization_id
            and told.learner_id = engagement.learner_id
            and told.course_id = engagement.course_id
    left join struggle
        on
            told.organization_id = struggle.organization_id
            and told.learner_id = struggle.learner_id
            and told.course_id = struggle.course_id

)

select * from final
