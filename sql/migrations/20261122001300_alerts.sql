-- migrate:up

-- What somebody should look at: a task that failed for good, a run that is late. It is about the running system, so its
-- instants are the server's clock, not the clock of a run.
create table ops.alerts (
    alert_id bigint generated always as identity,
    kind text not null,
    subject text not null,
    message text not null,
    raised_at timestamptz not null default clock_timestamp(),
    resolved_at timestamptz,
    constraint alerts_pkey primary key (alert_id),
    constraint alerts_subject_check check (subject <> ''),
    constraint alerts_resolved_check check (resolved_at >= raised_at)
);
-- One open alert of a kind and subject, however often it is raised.
create unique index alerts_open_key on ops.alerts (kind, subject) where resolved_at is null;
comment on table ops.alerts is 'Alerts, open until resolved_at is set. They name tasks, runs and sources, never a learner.';
comment on column ops.alerts.subject is 'What the alert is about: a DAG, a task of it as dag.task, or a mapped one as dag.task[source].';

-- migrate:down
