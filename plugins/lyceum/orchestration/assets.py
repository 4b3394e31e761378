"""What DAGs tell each other about."""

from __future__ import annotations

from airflow.sdk import Asset

ROSTER = Asset("roster")
"""People, courses or enrollments may have changed; the build tells anew whom it concerns."""

RAW_DATA_COLLECTION = Asset("raw_data_collection")
"""Stage one may hold something new. It only wakes the build: what is to be built is in the database, not in the event."""
