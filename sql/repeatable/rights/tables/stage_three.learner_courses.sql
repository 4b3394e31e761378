-- Made by `lyceum security generate` from plugins/lyceum/security/rights.py: change that, then make this anew.
set local lock_timeout = '10s';
alter table stage_three.learner_courses enable row level security, force row level security;
revoke all on table stage_three.learner_courses from public, lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst, lyceum_auditor;
drop policy if exists learner_select on stage_three.learner_courses;
drop policy if exists trainer_select on stage_three.learner_courses;
drop policy if exists org_admin_select on stage_three.learner_courses;
drop policy if exists service_select on stage_three.learner_courses;
drop policy if exists analyst_select on stage_three.learner_courses;
drop policy if exists auditor_select on stage_three.learner_courses;
create policy trainer_select on stage_three.learner_courses
as permissive for select to lyceum_trainer
using (
    organization_id = (select auth.organization_id('trainer'))
    and enrolled_days @> ((select rights.open_day()) - 1)
    and (select rights.taught_course_days()) @> (course_id * 4194304 + ((select rights.open_day()) - 1 - date '0001-01-01'))
);
create policy org_admin_select on stage_three.learner_courses
as permissive for select to lyceum_org_admin
using (
    organization_id = (select auth.organization_id('org_admin'))
);
create policy analyst_select on stage_three.learner_courses
as permissive for select to lyceum_analyst
using (
    organization_id = (select auth.organization_id('analyst'))
);
grant select (
    organization_id,
    learner_id,
    course_id,
    first_event_on,
    last_event_on,
    first_active_on,
    last_active_on,
    completed_on,
    completed_at,
    enrolled_days,
    at_risk_days
) on table stage_three.learner_courses to lyceum_trainer, lyceum_org_admin, lyceum_analyst;
grant select on table stage_three.learner_courses to lyceum_definer;
