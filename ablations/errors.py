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


class DeviceLost(UserError):
    """After an error of the GPU the process cannot use it any more, so that every later run would fail too."""

    exit_status = 3


class HeldElsewhere(UserError):
    """Another process has the runs, or the plan and report, that are needed."""

    exit_status = 5


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived."""


class SealBroken(Exception):
    """The test images were read more than once in a run: an error in the program, not of the user."""


class Diverged(Exception):
    """The training loss, or the trained network's outputs, stopped being finite."""
