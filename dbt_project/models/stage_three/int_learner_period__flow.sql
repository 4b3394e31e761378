{{ config(materialized="ephemeral") }}
-- Grain: one row per learner, course (or across courses), period type and period start: the periods of touched learners
-- told anew from their day rows, and those that only need their stock columns told anew because a day of them has closed.
{% set period_types = ['week', 'month', 'year'] %}
with

candidates as (

    select * from {{ ref('learner_analytics') }}

),

published_days as (

    select * from {{ ref('stg_stage_three__learner_days') }}

),

published_periods as (

    select * from {{ ref('stg_stage_three__learner_periods') }}

),

learners as (

    select * from {{ ref('int_build__learners') }}

),

organizations as (

    select * from {{ ref('int_build__organizations') }}

),

-- A period that holds the first touched day also holds earlier days, which stand as published.
earlier_days as (

    select published_days.*
    from published_days
    inner join learners
        on
            published_days.organization_id = learners.organization_id
            and published_days.learner_id = learners.learner_id
            and published_days.activity_date < learners.touched_from
            and published_days.activity_date >= least(
                {{ week_start('learners.touched_from') }}, {{ period_start('year', 'learners.touched_from') }}
            )

),

days as (

    select
        organization_id,
        learner_id,
        course_id,
        activity_date,
        scope,
        is_active,
        event_count,
        interaction_count,
        active_minutes,
        session_count,
        time_on_task_seconds,
        resources_viewed,
        videos_started,
        videos_completed,
        video_seconds_watched,
        assessments_attempted,
        assessments_passed,
        attempt_count,
        score_sum,
        score_count,
        contributions,
        completions,
        first_event_at,
        last_event_at
    from candidates

    union all

    select
        organization_id,
        learner_id,
        course_id,
        activity_date,
        scope,
        is_active,
        event_count,
        interaction_count,
        active_minutes,
        session_count,
        time_on_task_seconds,
        resources_viewed,
        videos_started,
        videos_completed,
        video_seconds_watched,
        assessments_attempted,
        assessments_passed,
        attempt_count,
        score_sum,
        score_count,
        contributions,
        completions,
        first_event_at,
        last_event_at
    from earlier_days

),

{% for period_type in period_types %}
{{ period_type }}_rows as (

    select
        organization_id,
        learner_id,
        course_id,
        scope,
        '{{ period_type }}' as period_type,
        {{ period_start(period_type, 'activity_date') }} as period_start,
        count(*) filter (where is_active) as active_days,
        sum(event_count)::bigint as event_count,
        sum(interaction_count)::bigint as interaction_count,
        sum(active_minutes)::bigint as active_minutes,
        sum(session_count)::bigint as session_count,
        sum(time_on_task_seconds)::bigint as time_on_task_seconds,
        sum(resources_viewed)::bigint as resources_viewed,
        sum(videos_started)::bigint as videos_started,
        sum(videos_completed)::bigint as videos_completed,
        sum(video_seconds_watched) as video_seconds_watched,
        sum(assessments_attempted)::bigint as assessments_attempted,
        sum(assessments_passed)::bigint as assessments_passed,
        sum(attempt_count)::bigint as attempt_count,
        sum(score_sum) as score_sum,
        sum(score_count)::bigint as score_count,
        sum(contributions)::bigint as contributions,
        sum(completions)::bigint as completions,
        min(first_event_at) as first_event_at,
        max(last_event_at) as last_event_at
    from days
    group by
        organization_id,
        learner_id,
        course_id,
        scope,
        {{ period_start(period_type, 'activity_date') }}

),

told_{{ period_type }}s as (

    select {{ period_type }}_rows.*
    from {{ period_type }}_rows
    inner join learners
        on
            {{ period_type }}_rows.organization_id = learners.organization_id
            and {{ period_type }}_rows.learner_id = learners.learner_id
    where {{ period_type }}_rows.period_start >= {{ period_start(period_type, 'learners.touched_from') }}

),

restocked_{{ period_type }}s as (

    select
        published_periods.organization_id,
        published_periods.learner_id,
        published_periods.course_id,
        published_periods.scope,
        published_periods.period_type,
        published_periods.period_start,
        published_periods.active_days,
        published_periods.event_count,
        published_periods.interaction_count,
        published_periods.active_minutes,
        published_periods.session_count,
        published_periods.time_on_task_seconds,
        published_periods.resources_viewed,
        published_periods.videos_started,
        published_periods.videos_completed,
        published_periods.video_seconds_watched,
        published_periods.assessments_attempted,
        published_periods.assessments_passed,
        published_periods.attempt_count,
        published_periods.score_sum,
        published_periods.score_count,
        published_periods.contributions,
        published_periods.completions,
        published_periods.first_event_at,
        published_periods.last_event_at
    from published_periods
    inner join organizations
        on published_periods.organization_id = organizations.organization_id
    left join learners
        on
            published_periods.organization_id = learners.organization_id
            and published_periods.learner_id = learners.learner_id
    where
        published_periods.period_type = '{{ period_type }}'
        and organizations.closed_through > organizations.previous_closed_through
        and published_periods.period_start >= {{ period_start(period_type, '(organizations.previous_closed_through + 1)') }}
        and published_periods.period_start <= organizations.closed_through
        and (
            learners.learner_id is null
            or published_periods.period_start < {{ period_start(period_type, 'learners.touched_from') }}
        )

),

{% endfor %}
final as (

    {% for period_type in period_types %}
    select
        *,
        {{ period_end(period_type, 'period_start') }} as period_end
    from told_{{ period_type }}s

    union all

    select
        *,
        {{ period_end(period_type, 'period_start') }} as period_end
    from restocked_{{ period_type }}s
    {{ 'union all' if not loop.last }}
    {% endfor %}

)

select * from final
