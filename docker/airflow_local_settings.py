"""Airflow imports this file once in every process."""

from lyceum.orchestration.warm_up import import_what_tasks_need

import_what_tasks_need()
