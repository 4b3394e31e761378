-- The days on which the asking trainer teaches each course of rights.taught_course_ids(), in the same order.
create or replace function rights.taught_days()
returns datemultirange[]
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
        select taught.days
        from core.enrollment_days as taught
        where
            taught.organization_id = asking_organization
            and taught.user_id = asking_user
            and taught.role = 'trainer'
        order by taught.course_id
    );
end;
$$;
alter function rights.taught_days() owner to lyceum_definer;
revoke all on function rights.taught_days() from public;
grant execute on function rights.taught_days() to lyceum_trainer;
