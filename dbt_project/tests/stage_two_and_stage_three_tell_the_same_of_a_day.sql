-- What: a learner day that stage two still keeps says in stage three what it says in stage two.
-- When it matters: open weeks are read from stage two, everything from stage three; they are published in one transaction.
-- How to resolve: something other than publishing has written one of them; build the learner's days again.
{{ config(tags=['published']) }}
select
    recent.organization_id,
    recent.learner_id,
    recent.course_id,
    recent.activity_date
from {{ ref('learner_analytics') }} as recent
left join {{ ref('aggregated_analytics') }} as kept
    on recent.organization_id = kept.organization_id
    and kept.subject_type = 'learner'
    and recent.learner_id = kept.subject_id
    and recent.course_id is not distinct from kept.course_id
    and kept.period_type = 'day'
    and recent.activity_date = kept.period_start
where
    (recent.event_count, recent.time_on_task_seconds, recent.score_sum, recent.is_enrolled)
    is distinct from (kept.event_count, kept.time_on_task_seconds, kept.score_sum, kept.is_enrolled)
