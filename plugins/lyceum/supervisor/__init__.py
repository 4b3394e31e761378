"""Starting, watching and stopping what a warehouse on one machine consists of: its database server and Airflow."""
