-- The last day of which published rows can tell: the one after the last closed day, whose events count already. A period
-- that goes on tells of nothing later. Null before the first publish.
create or replace function rights.open_day()
returns date
language plpgsql
stable
parallel safe
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    asking_organization constant bigint := auth.organization_id('trainer');
begin
    return (
        select watermarks.closed_through + 1
        from ops.organization_watermarks as watermarks
        where watermarks.organization_id = asking_organization
    );
end;
$$;
alter function rights.open_day() owner to lyceum_definer;
revoke all on function rights.open_day() from public;
grant execute on function rights.open_day() to lyceum_trainer;
