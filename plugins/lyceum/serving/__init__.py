"""The analytics API: people and systems get their numbers over HTTP, and only theirs."""
