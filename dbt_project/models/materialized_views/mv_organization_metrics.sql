{{
    config(
        pre_hook=["set local work_mem = '64MB'", "set local jit = off"],
        post_hook="analyze {{ this }}",
    )
}}
-- Grain: one row per organization that the refresh tells anew and that has an organization row on its last closed day.
{% set windows = {'daily': 1, 'weekly': var('weekly_active_days'), 'monthly': var('monthly_active_days')} %}
{% set actives = {
    'daily': 'learners_active', 'weekly': 'weekly_active_learners', 'monthly': 'monthly_active_learners'
} %}
with

organizations as (

    select * from {{ ref('stg_ops__view_scope') }}
    where view_name = 'mv_organization_metrics'

),

organization_days as (

    select * from {{ ref('stg_stage_three__organization_days') }}

),

learner_courses as (

    select * from {{ ref('stg_stage_three__learner_courses') }}

),

-- Before the first event day there are no rows, and nobody was active.
windows as (

    select
        organizations.organization_id,
        {% for window, days in windows.items() %}
        coalesce(
            max(organization_days.{{ actives[window] }}) filter (
                where organization_days.activity_date = organizations.window_ends_on - {{ days }}
            ),
            0
        ) as {{ window }}_active_learners_before,
        sum(organization_days.time_on_task_seconds) filter (
            where organization_days.activity_date > organizations.window_ends_on - {{ days }}
        )::bigint as {{ window }}_time_on_task_seconds{{ ',' if not loop.last }}
        {% endfor %}
    from organizations
    inner join organization_days
        on
            organizations.organization_id = organization_days.organization_id
            and organization_days.activity_date <= organizations.window_ends_on
            and organization_days.activity_date >= organizations.window_ends_on - {{ var('monthly_active_days') }}
    group by organizations.organization_id

),

enrollments as (

    select
        learner_courses.organization_id,
        learner_courses.learner_id,
        learner_courses.course_id,
        coalesce(learner_courses.completed_on <= organizations.window_ends_on, false) as is_completed
    from learner_courses
    inner join organizations
        on
            learner_courses.organization_id = organizations.organization_id
            and learner_courses.enrolled_days @> organizations.window_ends_on

),

enrolled_learners as (

    select
        organization_id,
        count(distinct learner_id) as learners_enrolled
    from enrollments
    group by organization_id

),

courses as (

    select
        organization_id,
        course_id,
        count(*) as learners_enrolled,
        {{ ratio('count(*) filter (where is_completed)', 'count(*)') }} as completion_rate
    from enrollments
    group by
        organization_id,
        course_id
    having count(*) >= {{ var('ranked_course_learners') }}

),

ranked_courses as (

    select
        organization_id,
        course_id,
        completion_rate,
        row_number() over (
            partition by organization_id order by completion_rate desc, learners_enrolled desc, course_id asc
        ) as best_place,
        row_number() over (
            partition by organization_id order by completion_rate asc, learners_enrolled desc, course_id asc
        ) as weakest_place
    from courses

),

course_lists as (

    select
        organization_id,
        {% for end in ['best', 'weakest'] %}
        array_agg(course_id order by {{ end }}_place) filter (
            where {{ end }}_place <= {{ var('ranked_courses') }}
        ) as {{ end }}_course_ids,
        array_agg(completion_rate order by {{ end }}_place) filter (
            where {{ end }}_place <= {{ var('ranked_courses') }}
        ) as {{ end }}_course_completion_rates{{ ',' if not loop.last }}
        {% endfor %}
    from ranked_courses
    group by organization_id

),

final as (

    select
        organizations.organization_id,
        organizations.window_ends_on,
        {% for window in windows %}
        {% set now = 'today.' ~ actives[window] %}
        {% set before = 'windows.' ~ window ~ '_active_learners_before' %}
        {{ now }} as {{ window }}_active_learners,
        {{ before }},
        {{ ratio(now ~ ' - ' ~ before, before) }} as {{ window }}_active_learners_change,
        windows.{{ window }}_time_on_task_seconds,
        {{ ratio('windows.' ~ window ~ '_time_on_task_seconds', now) }} as {{ window }}_time_on_task_seconds_per_active_learner,
        {% endfor %}
        today.enrollments_open,
        today.enrollments_completed,
        today.completion_rate,
        coalesce(enrolled_learners.learners_enrolled, 0) as learners_enrolled,
        today.learners_at_risk,
        {{ ratio('today.learners_at_risk', 'enrolled_learners.learners_enrolled') }} as at_risk_share,
        {% for end in ['best', 'weakest'] %}
        coalesce(course_lists.{{ end }}_course_ids, '{}'::bigint[]) as {{ end }}_course_ids,
        coalesce(course_lists.{{ end }}_course_completion_rates, '{}'::numeric[]) as {{ end }}_course_completion_rates,
        {% endfor %}
        organizations.data_as_of
    from organizations
    inner join organization_days as today
        on
            organizations.organization_id = today.organization_id
            and organizations.window_ends_on = today.activity_date
    inner join windows
        on organizations.organization_id = windows.organization_id
    left join enrolled_learners
        on organizations.organization_id = enrolled_learners.organization_id
    left join course_lists
        on organizations.organization_id = course_lists.organization_id

)

select * from final
