-- migrate:up

-- rights.taught_course_days() takes their place, and the repeatable files make the policies anew. Until a database has been
-- migrated once there is none of them.
set local lock_timeout = '10s';
drop policy if exists trainer_select on stage_two.learner_analytics;
drop policy if exists trainer_select on stage_three.aggregated_analytics;
drop function if exists rights.taught_course_ids();
drop function if exists rights.taught_days();

-- migrate:down
