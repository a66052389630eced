"""Errors that are the user's to mend: one clear line and the process's exit status."""

from __future__ import annotations


class UserError(Exception):
    """Base of all errors whose message names the value, what is allowed and the remedy."""

    exit_status: int = 2


class ConfigError(UserError):
    """Arguments, suite file or configuration cannot be used."""


class DataError(UserError):
    """Data is missing or damaged."""

    exit_status = 4


class DataMissing(DataError):
    """The data is not on this machine, and was not to be downloaded or could not be."""


class DiskFull(UserError):
    """A file could not be written whole, as its disk or quota has no room for it; the file before it is unchanged."""

    exit_status = 3


class SuiteLocked(UserError):
    """Another process holds the suite."""

    exit_status = 5


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived."""


class SealBroken(Exception):
    """The test images were read more than once in a run: an error in the program, not of the user."""


class Diverged(Exception):
    """The training loss stopped being finite."""
