-- One row per candidate learner and course, with what must not be true of it.
select
    learner_courses.organization_id,
    learner_courses.learner_id,
    learner_courses.course_id,
    learner_courses.first_event_on > learner_courses.last_event_on as ends_before_it_begins,
    (
        (learner_courses.first_active_on is null) <> (learner_courses.last_active_on is null)
        or learner_courses.first_active_on < learner_courses.first_event_on
        or learner_courses.last_active_on > learner_courses.last_event_on
        or learner_courses.first_active_on > learner_courses.last_active_on
    ) as is_active_outside_its_events,
    (
        (learner_courses.completed_on is null) <> (learner_courses.completed_at is null)
        or learner_courses.completed_on not between learner_courses.first_event_on and learner_courses.last_event_on
    ) as has_an_inconsistent_completion,
    (
        lower_inf(learner_courses.enrolled_days)
        or upper_inf(learner_courses.enrolled_days)
        or lower(learner_courses.enrolled_days) < learner_courses.first_event_on
        or upper(learner_courses.enrolled_days) > learner_courses.completed_on + 1
    ) as is_enrolled_outside_its_events,
    not learner_courses.at_risk_days <@ learner_courses.enrolled_days as is_at_risk_while_not_enrolled,
    upper(learner_courses.at_risk_days) > learner_courses.completed_on as is_at_risk_while_completed,
    courses.is_unassigned and not isempty(learner_courses.enrolled_days) as is_enrolled_in_no_course
from build.learner_courses as learner_courses
left join core.courses as courses
    on
        learner_courses.organization_id = courses.organization_id
        and learner_courses.course_id = courses.course_id
