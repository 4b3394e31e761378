"""HTTP/1.1 as the API speaks it: llhttp, with a bound on what the head of a request may take.

llhttp itself collects a head of any length. Uvicorn's other parser, h11, has a bound, and takes most of a millisecond a request.
"""

from __future__ import annotations

from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LARGEST_HEAD_BYTES: Final = 32 * 1024


class BoundedProtocol(HttpToolsProtocol):
    """A connection. A head that is not complete after 32 KiB is answered with 400, and the connection closed."""

    _head_bytes = 0
    _is_in_head = True

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        if self._is_in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._is_in_head and self._head_bytes > LARGEST_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response(f"Address and headers take more than {LARGEST_HEAD_BYTES} bytes. Expected less.")

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._is_in_head = True

    def on_headers_complete(self) -> None:
        """End a request's head."""
        self._head_bytes = 0
        self._is_in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """End a request: what comes next is a head again."""
        super().on_message_complete()
        self._is_in_head = True
