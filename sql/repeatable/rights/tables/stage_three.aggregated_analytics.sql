-- Made by `lyceum security generate` from plugins/lyceum/security/rights.py: change that, then make this anew.
set local lock_timeout = '10s';
alter table stage_three.aggregated_analytics enable row level security, force row level security;
revoke all on table stage_three.aggregated_analytics from public, lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst, lyceum_auditor;
drop policy if exists learner_select on stage_three.aggregated_analytics;
drop policy if exists trainer_select on stage_three.aggregated_analytics;
drop policy if exists org_admin_select on stage_three.aggregated_analytics;
drop policy if exists service_select on stage_three.aggregated_analytics;
drop policy if exists analyst_select on stage_three.aggregated_analytics;
drop policy if exists auditor_select on stage_three.aggregated_analytics;
create policy learner_select on stage_three.aggregated_analytics
as permissive for select to lyceum_learner
using (
    organization_id = (select auth.organization_id('learner'))
    and subject_type = 'learner'
    and subject_id = (select auth.user_id('learner'))
);
create policy trainer_select on stage_three.aggregated_analytics
as permissive for select to lyceum_trainer
using (
    organization_id = (select auth.organization_id('trainer'))
    and (
        (subject_type in ('learner', 'trainer') and subject_id = (select auth.user_id('trainer')))
        or (
            subject_type = 'learner'
            and scope = 'course'
            and is_enrolled
            and (select rights.taught_course_days()) @> (course_id * 4194304 + (period_start - date '0001-01-01'))
            and (
                period_type = 'day'
                or (select rights.taught_course_days()) @> int8range(
                    course_id * 4194304 + (period_start - date '0001-01-01'),
                    course_id * 4194304 + (greatest(
                        period_start,
                        least(
                            case period_type
                                when 'week' then period_start + 6
                                when 'month' then (period_start + interval '1 month')::date - 1
                                else (period_start + interval '1 year')::date - 1
                            end,
                            (select rights.open_day())
                        )
                    ) - date '0001-01-01'),
                    '[]'
                )
            )
        )
    )
);
create policy org_admin_select on stage_three.aggregated_analytics
as permissive for select to lyceum_org_admin
using (
    organization_id = (select auth.organization_id('org_admin'))
);
create policy service_select on stage_three.aggregated_analytics
as permissive for select to lyceum_service
using (
    organization_id = (select auth.organization_id('service', 'analytics.read'))
);
create policy analyst_select on stage_three.aggregated_analytics
as permissive for select to lyceum_analyst
using (
    organization_id = (select auth.organization_id('analyst'))
);
grant select (
    organization_id,
    subject_type,
    subject_id,
    course_id,
    period_type,
    period_start,
    scope,
    is_active,
    active_days,
    event_count,
    interaction_count,
    active_minutes,
    session_count,
    time_on_task_seconds,
    first_event_at,
    last_event_at,
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
    is_completed,
    completed_at,
    is_enrolled,
    enrolled_on,
    is_at_risk,
    score_mean,
    learners_active,
    trainers_active,
    courses_active,
    enrollments_open,
    enrollments_new,
    enrollments_completed,
    completion_rate,
    learners_at_risk,
    weekly_active_learners,
    monthly_active_learners,
    stickiness,
    cohort_size,
    retained_1,
    retained_2,
    retained_4,
    retained_8,
    learners_assigned,
    activity_rate,
    time_on_task_seconds_per_active_learner,
    attempts_reviewed
) on table stage_three.aggregated_analytics to lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst;
