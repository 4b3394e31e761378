select
    organization_id,
    period_start as activity_date,
    learners_active,
    trainers_active,
    courses_active,
    event_count,
    interaction_count,
    attempt_count,
    time_on_task_seconds,
    enrollments_open,
    enrollments_new,
    enrollments_completed,
    completions,
    completion_rate,
    learners_at_risk,
    score_sum,
    score_count,
    score_mean,
    weekly_active_learners,
    monthly_active_learners,
    stickiness
from {{ source('stage_three', 'aggregated_analytics') }}
where
    subject_type = 'organization'
    and period_type = 'day'
