-- The sorted set of the elements of an array without nulls.
create or replace function stage_two.object_set(object_ids integer[])
returns integer[]
language sql
immutable
strict
parallel safe
return extensions.uniq(extensions.sort(object_ids));
