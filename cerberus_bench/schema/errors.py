"""Errors that a user can act on. Each message names the file, the value and the remedy."""


class CerberusBenchError(Exception):
    """Something failed for a reason worth one line; the command line exits with `exit_code`."""

    exit_code = 1


class DataError(CerberusBenchError):
    """Data or arguments are missing, corrupt or do not fit together."""

    exit_code = 2
