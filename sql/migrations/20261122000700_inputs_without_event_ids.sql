-- migrate:up

-- Records without ids of their own are told apart by their input alone, so an input of one name is collected once: a changed
-- one can neither be added to what is there nor merged with it.
alter table ops.inputs add column has_event_ids boolean not null default true;
create unique index inputs_name_key on ops.inputs (organization_id, name) where not has_event_ids;

-- migrate:down
