-- The courses that the asking learner or trainer belongs to: by the roster, in whatever part, or by what they have done there.
create or replace function rights.own_course_ids(role_name text)
returns bigint[]
language plpgsql
stable
parallel safe
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    asking_organization constant bigint := auth.organization_id(role_name);
    asking_user constant bigint := auth.user_id(role_name);
begin
    return array(
        select enrollments.course_id
        from core.enrollment_days as enrollments
        where
            enrollments.organization_id = asking_organization
            and enrollments.user_id = asking_user
            and not isempty(enrollments.days)
        union
        select courses.course_id
        from stage_three.learner_courses as courses
        where
            courses.organization_id = asking_organization
            and courses.learner_id = asking_user
        order by course_id
    );
end;
$$;
alter function rights.own_course_ids(text) owner to lyceum_definer;
revoke all on function rights.own_course_ids(text) from public;
grant execute on function rights.own_course_ids(text) to lyceum_learner, lyceum_trainer;
