"""Measurements in `ops.metrics`, kept as long as `ops.retention_policies` says."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from psycopg.types.json import Jsonb

from lyceum.database import Connection
from lyceum.monitoring.measuring import Sample


def keep(connection: Connection, samples: Sequence[Sample], as_of: datetime) -> None:
    """Keep the samples as those of `as_of`; keeping them again replaces them."""
    names = [sample.name for sample in samples]
    labels = [Jsonb(dict(sample.labels)) for sample in samples]
    with connection.transaction():
        connection.execute(
            """
            insert into ops.metric_series (name, labels)
            select distinct measured.name, measured.labels
            from unnest(%s::text[], %s::jsonb[]) as measured (name, labels)
            where
                not exists (
                    select
                    from ops.metric_series as known
                    where known.name = measured.name and known.labels = measured.labels
                )
            order by measured.name, measured.labels
            on conflict (name, labels) do nothing
            """,
            [names, labels],
        )
        connection.execute(
            """
            insert into ops.metrics (measured_at, series_id, value)
            select %s, series.series_id, measured.value
            from unnest(%s::text[], %s::jsonb[], %s::double precision[]) as measured (name, labels, value)
            inner join ops.metric_series as series on series.name = measured.name and series.labels = measured.labels
            order by series.series_id
            on conflict (series_id, measured_at) do update set value = excluded.value
            """,
            [as_of, names, labels, [sample.value for sample in samples]],
        )


def latest(connection: Connection) -> tuple[datetime | None, tuple[Sample, ...]]:
    """Return the newest measurements and their clock; None and nothing where nothing was ever measured."""
    rows = connection.execute(
        """
        select metrics.measured_at, series.name, series.labels, metrics.value
        from ops.metrics as metrics
        inner join ops.metric_series as series on metrics.series_id = series.series_id
        where metrics.measured_at = (select max(newest.measured_at) from ops.metrics as newest)
        order by series.name, series.labels::text
        """
    ).fetchall()
    samples = tuple(Sample(name, tuple(sorted(labels.items())), value) for _, name, labels, value in rows)
    return (rows[0][0] if rows else None), samples


def days_until_full(connection: Connection, as_of: datetime) -> float | None:
    """Return in how many days the disk is full, if it goes on as in the last week; None when it does not fill up.

    Less than a day of measurements says nothing.
    """
    row = connection.execute(
        """
        select
            regr_slope(metrics.value, extract(epoch from metrics.measured_at) / 86400),
            max(metrics.measured_at) - min(metrics.measured_at),
            (array_agg(metrics.value order by metrics.measured_at desc))[1]
        from ops.metrics as metrics
        inner join ops.metric_series as series on metrics.series_id = series.series_id
        where
            series.name = 'lyceum_disk_free_bytes'
            and metrics.measured_at > %(as_of)s - interval '7 days'
            and metrics.measured_at <= %(as_of)s
        """,
        {"as_of": as_of},
    ).fetchone()
    if row is None or row[0] is None or row[1] < timedelta(days=1) or row[0] >= 0:
        return None
    return float(row[2] / -row[0])
