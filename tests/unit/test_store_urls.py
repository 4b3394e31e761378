"""Where files lie, as people write it and as the product keeps it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lyceum.store_urls import path_of, store_url


@pytest.mark.parametrize(
    ("written", "url", "folder"),
    [
        (None, None, None),
        ("", None, None),
        ("reports", "file:///srv/reports", Path("/srv/reports")),
        ("/mnt/my reports", "file:///mnt/my%20reports", Path("/mnt/my reports")),
        ("file:///mnt/my%20reports", "file:///mnt/my%20reports", Path("/mnt/my reports")),
        ("s3://bucket/reports", "s3://bucket/reports", None),
    ],
)
def test_a_folder_becomes_a_url_and_the_folder_again(written: str | None, url: str | None, folder: Path | None) -> None:
    assert store_url(written, Path("/srv")) == url
    assert store_url(url, Path("/elsewhere")) == url
    assert path_of(url) == folder
