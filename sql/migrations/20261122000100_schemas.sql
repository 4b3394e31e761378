-- migrate:up

create schema core;
create schema stage_one;
create schema stage_two;
create schema stage_three;
create schema ops;
create schema build;
create schema partitions;

comment on schema core is 'Organizations, users, courses, enrollments, sources and the dictionaries of a tenant.';
comment on schema stage_one is 'Accepted events for 24 hours, the ledger of event keys, and the quarantine.';
comment on schema stage_two is 'Daily analytics of the open weeks and the mergeable states they are built from.';
comment on schema stage_three is 'Published day, week, month and year rows, kept for seven years.';
comment on schema ops is 'Batches, pending hours, week states, builds, partition policies, archives, audit results.';
comment on schema build is 'Candidates of the running build: plain tables that dbt may replace at will. Nobody else reads them.';
comment on schema partitions is 'Leaves of the partitioned tables. No reader uses this schema.';

-- migrate:down
