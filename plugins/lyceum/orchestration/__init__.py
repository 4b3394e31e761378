"""Where Airflow meets the library: the edge of every task. No other package of the library imports Airflow."""
