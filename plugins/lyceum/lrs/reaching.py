"""Getting at a store: its credentials, its authorization and its transport, opened together and closed together."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from lyceum.lrs.authorization import (
    Authorization,
    BasicAuthorization,
    ClientCredentialsAuthorization,
    Elapsed,
    NoAuthorization,
)
from lyceum.lrs.credentials import FindCredentials
from lyceum.lrs.options import LrsOptions
from lyceum.lrs.statements import StatementStore
from lyceum.lrs.transport import Pause, Transport
from lyceum.organizations import Source


@contextlib.contextmanager
def reach_store(
    source: Source, options: LrsOptions, find_credentials: FindCredentials, *, pause: Pause, elapsed: Elapsed
) -> Iterator[StatementStore]:
    """Yield the source's store. Nothing is sent before it is asked something.

    Raises `ConfigurationError` when the credentials cannot be found.
    """
    label = f"The Learning Record Store of {source.organization}/{source.name} ({options.endpoint})"
    with contextlib.ExitStack() as stack:

        def open_transport(address: str) -> Transport:
            return stack.enter_context(
                Transport(
                    address,
                    label=label,
                    timeout_seconds=options.timeout_seconds,
                    maximum_bytes=options.maximum_page_bytes,
                    pause=pause,
                )
            )

        authorization: Authorization = NoAuthorization()
        if options.credentials is not None:
            credentials = find_credentials(options.credentials)
            authorization = BasicAuthorization(credentials)
            if options.token_endpoint is not None:
                authorization = ClientCredentialsAuthorization(
                    open_transport(options.token_endpoint), options.token_endpoint, credentials, options.scope, elapsed
                )
        yield StatementStore(open_transport(options.endpoint), authorization, options)
