-- Made by `lyceum security generate` from plugins/lyceum/security/rights.py: change that, then make this anew.
set local lock_timeout = '10s';
alter table stage_two.learner_analytics enable row level security, force row level security;
revoke all on table stage_two.learner_analytics from public, lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst, lyceum_auditor;
drop policy if exists learner_select on stage_two.learner_analytics;
drop policy if exists trainer_select on stage_two.learner_analytics;
drop policy if exists org_admin_select on stage_two.learner_analytics;
drop policy if exists service_select on stage_two.learner_analytics;
drop policy if exists analyst_select on stage_two.learner_analytics;
drop policy if exists auditor_select on stage_two.learner_analytics;
create policy learner_select on stage_two.learner_analytics
as permissive for select to lyceum_learner
using (
    organization_id = (select auth.organization_id('learner'))
    and learner_id = (select auth.user_id('learner'))
);
create policy trainer_select on stage_two.learner_analytics
as permissive for select to lyceum_trainer
using (
    organization_id = (select auth.organization_id('trainer'))
    and (
        learner_id = (select auth.user_id('trainer'))
        or (
            scope = 'course'
            and is_enrolled
            and (select rights.taught_course_days()) @> (course_id * 4194304 + (activity_date - date '0001-01-01'))
        )
    )
);
create policy org_admin_select on stage_two.learner_analytics
as permissive for select to lyceum_org_admin
using (
    organization_id = (select auth.organization_id('org_admin'))
);
create policy service_select on stage_two.learner_analytics
as permissive for select to lyceum_service
using (
    organization_id = (select auth.organization_id('service', 'analytics.read'))
);
grant select (
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
    enrolled_on
) on table stage_two.learner_analytics to lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service;
