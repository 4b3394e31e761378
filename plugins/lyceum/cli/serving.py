"""The command that serves the analytics API."""

from __future__ import annotations

import click

from lyceum.cli.invocation import Invocation, pass_invocation


@click.command(
    epilog="""\b
    Examples:
        lyceum serve
        TOKEN=$(lyceum token mint --organization harbor-college --role org_admin)
        curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8090/v1/organization/metrics"""
)
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Where to listen; others than loopback need TLS in front."
)
@click.option("--port", type=click.IntRange(1, 65_535), help="Default: LYCEUM_API_PORT, else 8090.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="So many processes.")
@pass_invocation
def serve(invocation: Invocation, host: str, port: int | None, workers: int) -> None:
    """Serve the analytics API until Ctrl-C. The database must be running.

    Requests that are being answered when it is asked to stop are answered. The page at / shows what may be asked.
    """
    from lyceum.serving.databases import primary_conninfo
    from lyceum.serving.server import serve as serve_on

    # What is wrong with the settings is told here, once, rather than by each process.
    primary_conninfo(invocation.settings)
    chosen = port if port is not None else invocation.settings.serving.port
    invocation.message(
        f"Serving on http://{host}:{chosen}/ with {workers} {'process' if workers == 1 else 'processes'}."
    )
    serve_on(host, chosen, workers)
