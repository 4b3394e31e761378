-- The courses that the asking trainer has ever taught or will teach, by their ids; rights.taught_days() has the days of each.
create or replace function rights.taught_course_ids()
returns bigint[]
language plpgsql
stable
parallel safe
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    asking_organization constant bigint := auth.organization_id('trainer');
    asking_user constant bigint := auth.user_id('trainer');
begin
    return array(
        select taught.course_id
        from core.enrollment_days as taught
        where
            taught.organization_id = asking_organization
            and taught.user_id = asking_user
            and taught.role = 'trainer'
        order by taught.course_id
    );
end;
$$;
alter function rights.taught_course_ids() owner to lyceum_definer;
revoke all on function rights.taught_course_ids() from public;
grant execute on function rights.taught_course_ids() to lyceum_trainer;
