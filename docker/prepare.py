"""Brings both databases up to this image's version and gives Airflow its administrator. Safe to run again at any time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from lyceum.pools import POOLS
from lyceum.settings import Settings
from lyceum.supervisor.credentials import ADMINISTRATOR


def write_passwords(settings: Settings, password: str) -> Path:
    """Write the file that Airflow's simple auth manager reads, whole or not at all, and return it."""
    passwords = settings.secrets / "airflow_passwords.json"
    unfinished = passwords.with_suffix(".part")
    unfinished.touch(mode=0o600)
    unfinished.write_text(json.dumps({ADMINISTRATOR: password}) + "\n")
    return unfinished.replace(passwords)


def main() -> None:
    """Prepare the home, then migrate the warehouse, then Airflow's database, and make Airflow's pools."""
    settings = Settings.from_environment(os.environ, Path.cwd())
    settings.create_directories()
    secrets = Path(os.environ.get("SECRETS_FOLDER", "/run/secrets"))
    write_passwords(settings, (secrets / "airflow_admin_password").read_text().strip())
    subprocess.run(["lyceum", "migrate"], check=True)
    airflow = [sys.executable, "-m", "airflow"]
    subprocess.run([*airflow, "db", "migrate"], check=True)
    for pool in POOLS:
        subprocess.run([*airflow, "pools", "set", pool.name, str(pool.slots), pool.description], check=True)


if __name__ == "__main__":
    main()
