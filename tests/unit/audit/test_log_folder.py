"""Where the server's log is: the embedded server's own folder, the one that is named, or nowhere."""

from __future__ import annotations

from pathlib import Path

from lyceum.audit import log_folder
from lyceum.settings import Settings

EXTERNAL = "postgresql://lyceum@db.example/lyceum"


def test_the_embedded_servers_log_is_in_its_home(tmp_path: Path) -> None:
    settings = Settings.from_environment({"LYCEUM_HOME": str(tmp_path)}, tmp_path)

    assert log_folder(settings) == settings.server_logs


def test_a_server_of_ones_own_has_none_until_it_is_named(tmp_path: Path) -> None:
    external = {"LYCEUM_HOME": str(tmp_path), "LYCEUM_DATABASE_URL": EXTERNAL}
    named = Settings.from_environment(external | {"LYCEUM_SERVER_LOG_FOLDER": "pglog"}, tmp_path)

    assert log_folder(Settings.from_environment(external, tmp_path)) is None
    assert log_folder(named) == tmp_path / "pglog"
    assert Settings.from_environment(named.environment(), Path("/")) == named
