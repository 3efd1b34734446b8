"""The command ``hub``: serve and look after a hub from a shell.

With ``--json`` a command prints one JSON object on standard output; everything else goes to
standard error. Errors are one line that says what to do next, with exit code 2.
"""

from hub.cli.main import main

__all__ = ["main"]
