"""The command line: each verb parses, calls one workflow and shows what came back."""

import sys

from cerberus_bench.cli.app import app
from cerberus_bench.schema.errors import CerberusBenchError


def main() -> None:
    """Run the command line; errors that a user can act on are one line on stderr."""
    from rich.console import Console

    stderr = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        app(prog_name="cerberus-bench")
    except CerberusBenchError as error:
        stderr.print("[bold red]error:[/] ", end="")
        stderr.print(str(error), markup=False)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        stderr.print("stopped")
        sys.exit(130)
