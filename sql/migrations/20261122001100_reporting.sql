-- migrate:up

create schema reporting;
comment on schema reporting is 'Reports that were written, and where they lie.';

create table reporting.quality_pages (
    build_id bigint not null,
    as_of timestamptz not null,
    verdict text not null,
    headline text not null,
    uri text not null,
    byte_length bigint not null,
    sha256 bytea not null,
    constraint quality_pages_pkey primary key (build_id),
    constraint quality_pages_build_fkey foreign key (build_id) references ops.builds (build_id),
    constraint quality_pages_verdict_check check (
        verdict in ('published', 'published_with_warnings', 'not_published', 'unfinished', 'rehearsed')
    )
);
create index quality_pages_as_of_idx on reporting.quality_pages (as_of);
comment on table reporting.quality_pages is 'One row per kept data-quality page: one a build that had work, for 90 days.';
comment on column reporting.quality_pages.as_of is 'Clock of the build that the page tells of; the 90 days are counted from it.';
comment on column reporting.quality_pages.uri is 'Relative to the reports folder.';

create table ops.build_steps (
    build_id bigint not null,
    step text not null,
    seconds numeric not null,
    is_success boolean not null,
    constraint build_steps_pkey primary key (build_id, step),
    constraint build_steps_build_fkey foreign key (build_id) references ops.builds (build_id),
    constraint build_steps_seconds_check check (seconds >= 0)
);
comment on table ops.build_steps is 'How long each step of a build took; a step that was tried again has the seconds of its last attempt.';

-- migrate:down
