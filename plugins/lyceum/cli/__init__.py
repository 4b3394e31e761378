"""The command line: parses arguments, calls the library, prints. Nothing is decided here.

Commands import what they need when they run, so that `lyceum --help` answers at once.
"""

from lyceum.cli.program import main

__all__ = ["main"]
