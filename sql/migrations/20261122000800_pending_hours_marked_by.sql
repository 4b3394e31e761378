-- migrate:up

-- A void makes the hour of its target pending from a batch of another hour. A build that began before it must leave the hour
-- pending, although the hour itself has gained no batch.
alter table ops.pending_hours add column marked_by bigint;
comment on column ops.pending_hours.marked_by is 'The last batch that made the hour pending: one that it holds, or one that voids an event of it.';

-- migrate:down
