"""Every error a user can cause, as one tree.

    CasaeError
    +-- UsageError         a value or a combination of values that cannot work
    +-- ImageError         a file that is no readable image
    |   +-- TooLargeError  a picture beyond the limits of size
    +-- DatasetError       a dataset whose files do not fit together
    +-- BundleError        a .casae file that is damaged, foreign or too new
    +-- OutputError        a place that cannot be written
    +-- RecordsError       a database that cannot be opened, read or written
    +-- MissingExtraError  an optional part of casae is not installed

Each message is one line: the file or value, the rule it breaks, and a way out.
"""

from typing import Self


class CasaeError(Exception):
    """Base of all errors that casae raises on purpose."""


class UsageError(CasaeError):
    """A value or a combination of values that cannot work."""


class ImageError(CasaeError):
    """A file that is no readable image."""


class TooLargeError(ImageError):
    """A picture beyond the limits of size."""


class DatasetError(CasaeError):
    """A dataset whose files do not fit together."""


class BundleError(CasaeError):
    """A .casae file that is damaged, foreign or too new."""


class OutputError(CasaeError):
    """A place that cannot be written."""


class RecordsError(CasaeError):
    """A database of records that cannot be opened, read or written."""


class MissingExtraError(CasaeError):
    """An optional part of casae is not installed."""

    @classmethod
    def of(cls, need: str, extra: str) -> Self:
        """What needs what, and how its extra is installed, also from a checkout."""
        return cls(f"{need}; pip install 'casae[{extra}]', in its folder pip install '.[{extra}]' -c constraints.txt")
