"""Where a task finds the credentials of a Learning Record Store: in Airflow's connections, else in variables."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowNotFoundException

from lyceum.errors import ConfigurationError

if TYPE_CHECKING:
    from lyceum.lrs import Credentials, FindCredentials


def find_credentials() -> FindCredentials:
    """Return what looks a name up as an Airflow connection, whose login and password count, then in the environment."""
    from lyceum import lrs

    in_variables = lrs.credentials_from(os.environ)

    def find(name: str) -> Credentials:
        try:
            connection = Connection.get(name)
        except AirflowNotFoundException:
            return in_variables(name)
        if not connection.login or not connection.password:
            raise ConfigurationError(
                f"The Airflow connection {name!r} has no login or no password. Expected user and password, or for OAuth 2 client id "
                "and client secret."
            )
        return lrs.Credentials(name, connection.login, connection.password)

    return find
