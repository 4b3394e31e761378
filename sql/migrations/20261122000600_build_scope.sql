-- migrate:up

-- The scope of the running build: candidates are built for what this view names.
create view ops.current_build with (security_invoker = true) as
select
    build_id,
    as_of
from ops.builds
where state = 'running';

create index learner_day_states_hour_idx on stage_two.learner_day_states (organization_id, collected_hour);
create index learner_video_day_states_hour_idx on stage_two.learner_video_day_states (organization_id, collected_hour);

-- migrate:down
