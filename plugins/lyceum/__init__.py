"""Lyceum: a multi-tenant learning-analytics warehouse on PostgreSQL, run by Airflow and dbt."""
