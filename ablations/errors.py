"""Errors that a user can fix, with the exit status of each, and the two that a run can end with."""

from __future__ import annotations


class UserError(Exception):
    """Base of all errors whose message names the value, what is allowed and the remedy."""

    exit_status: int = 2


class ConfigError(UserError):
    """Arguments, a suite file or a configuration is invalid."""


class DataError(UserError):
    """Data is missing or damaged."""

    exit_status = 4


class DataMissing(DataError):
    """The data is not on this machine, and downloading it was not allowed or failed."""


class DiskFull(UserError):
    """The disk or quota has no room for a file; the file's earlier version is unchanged."""

    exit_status = 3


class DeviceLost(UserError):
    """This process cannot use the GPU any more after an error, so every later run would fail too."""

    exit_status = 3


class HeldElsewhere(UserError):
    """Another process holds the lock of the runs, or of the plan and report, that are needed."""

    exit_status = 5


class Terminated(KeyboardInterrupt):
    """The process received SIGTERM."""


class SealBroken(Exception):
    """The test images were read more than once in a run: a bug, not a user error."""


class Diverged(Exception):
    """The training loss, or an output of the trained network, is not finite."""


def first_line(error: Exception) -> str:
    """The first line of an error's message, as text that a file can hold; "" without a message."""
    # A path that is not UTF-8 comes with lone surrogates, which no file of text can hold.
    text = str(error).encode("utf-8", "backslashreplace").decode("utf-8")
    return next(iter(text.splitlines()), "")
