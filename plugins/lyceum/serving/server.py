"""The server of the API: one or several processes that listen on one address and end when they are asked to."""

from __future__ import annotations

import logging
import os
import signal
from datetime import UTC, datetime
from pathlib import Path

import uvicorn

from lyceum.serving.application import Application, make_application
from lyceum.serving.protocol import BoundedProtocol
from lyceum.settings import Settings

_SECONDS_TO_FINISH = 15


def serve(host: str, port: int, workers: int) -> None:
    """Serve until somebody asks to stop (SIGINT, SIGTERM); requests that are being answered then are answered.

    Each process reads its settings from the environment.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        # Uvicorn hands the signal on once it has ended in order, and that is an end like any other.
        signal.signal(number, lambda *_: None)
    uvicorn.run(
        f"{__name__}:application_of_environment",
        factory=True,
        host=host,
        port=port,
        workers=workers,
        # Addresses hold ids of people; the audit trail has them, and is kept as such.
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        http=BoundedProtocol,
        ws="none",
        timeout_keep_alive=30,
        timeout_graceful_shutdown=_SECONDS_TO_FINISH,
        lifespan="on",
    )


def application_of_environment() -> Application:
    """Return the application of this process, with the settings of its environment and the clock of its machine."""
    # The pool warns of each attempt to connect; the requests that it fails say it once each.
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
    return make_application(Settings.from_environment(os.environ, Path.cwd()), lambda: datetime.now(UTC))
