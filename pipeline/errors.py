"""The errors that a user can cause, and the exit codes they mean.

PairmillError
├── DataError    1   the data is wrong: validate, guards
├── UsageError   2   usage or configuration, found before any work
└── RunError     3   the run failed and can be resumed with the same command
"""


class PairmillError(Exception):
    """Its message is for a person: what is wrong, and the remedy. No traceback is shown."""

    exit_code = 3


class DataError(PairmillError):
    exit_code = 1


class UsageError(PairmillError):
    exit_code = 2


class RunError(PairmillError):
    exit_code = 3


FAILED = RunError.exit_code
INTERRUPTED = 130
