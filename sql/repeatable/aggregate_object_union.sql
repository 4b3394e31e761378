-- Union of sorted sets of object ids; null sets are ignored, no set at all gives null.
create or replace aggregate stage_two.object_union(integer[]) (
    sfunc = extensions._int_union,
    stype = integer[],
    combinefunc = extensions._int_union,
    parallel = safe
);
