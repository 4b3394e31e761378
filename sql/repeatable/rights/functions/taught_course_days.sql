-- What the asking trainer teaches when: one number for each course and day, course_id * 4194304 + days since 0001-01-01, so that
-- a row is looked up by one search in one value. A course has room for 4194304 days, more than end with the year 9999: days of
-- two courses never touch. Empty for whoever teaches nothing.
create or replace function rights.taught_course_days()
returns int8multirange
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
    return (
        select
            coalesce(
                range_agg(
                    int8range(
                        taught.course_id * 4194304 + (lower(spans.days) - date '0001-01-01'),
                        taught.course_id * 4194304 + (upper(spans.days) - date '0001-01-01')
                    )
                ),
                '{}'
            )
        from core.enrollment_days as taught
        cross join lateral unnest(taught.days * '{[0001-01-01,9999-12-31)}'::datemultirange) as spans (days)
        where
            taught.organization_id = asking_organization
            and taught.user_id = asking_user
            and taught.role = 'trainer'
    );
end;
$$;
alter function rights.taught_course_days() owner to lyceum_definer;
revoke all on function rights.taught_course_days() from public;
grant execute on function rights.taught_course_days() to lyceum_trainer;
