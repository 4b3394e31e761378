-- One row per candidate learner and course, with what must not be true of it. Enrolled days that no roster gives are implied
-- by events.
with

roster_enrollments as (

    select
        organization_id,
        user_id as learner_id,
        course_id,
        days
    from build.int_build__enrollment_days
    where role = 'learner'

),

rostered_courses as (

    select
        organization_id,
        course_id,
        rostered_days
    from build.int_build__rostered_courses

),

learner_courses as (

    select
        candidates.*,
        coalesce(roster_enrollments.days, '{}'::datemultirange) as roster_days,
        coalesce(rostered_courses.rostered_days, '{}'::datemultirange) as rostered_days,
        candidates.enrolled_days - coalesce(roster_enrollments.days, '{}'::datemultirange) as implied_days
    from build.learner_courses as candidates
    left join roster_enrollments
        on
            candidates.organization_id = roster_enrollments.organization_id
            and candidates.learner_id = roster_enrollments.learner_id
            and candidates.course_id = roster_enrollments.course_id
    left join rostered_courses
        on
            candidates.organization_id = rostered_courses.organization_id
            and candidates.course_id = rostered_courses.course_id

)

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
        or lower(learner_courses.implied_days) < learner_courses.first_event_on
        or upper(learner_courses.implied_days) > learner_courses.completed_on + 1
        or (learner_courses.first_event_on is null and not isempty(learner_courses.implied_days))
    ) as is_enrolled_outside_its_events,
    (
        not learner_courses.roster_days <@ learner_courses.enrolled_days
        or learner_courses.implied_days && learner_courses.rostered_days
    ) as is_enrolled_against_the_roster,
    not learner_courses.at_risk_days <@ learner_courses.enrolled_days as is_at_risk_while_not_enrolled,
    upper(learner_courses.at_risk_days) > learner_courses.completed_on as is_at_risk_while_completed,
    courses.is_unassigned and not isempty(learner_courses.enrolled_days) as is_enrolled_in_no_course
from learner_courses
left join core.courses as courses
    on
        learner_courses.organization_id = courses.organization_id
        and learner_courses.course_id = courses.course_id
