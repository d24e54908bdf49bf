"""What other installed packages add to casae, by entry point: readers of datasets, networks."""

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

from casae.errors import CasaeError

T = TypeVar("T")


def registered(group: str) -> dict[str, EntryPoint]:
    """The entry points of a group, by name."""
    return {point.name: point for point in entry_points(group=group)}


def names(group: str, own: Mapping[str, object]) -> list[str]:
    """All names: those of casae first."""
    return [*own, *sorted(registered(group).keys() - own.keys())]


def find(group: str, name: str, own: Mapping[str, T], fault: type[CasaeError]) -> T | None:
    """What `name` stands for in casae or in another package; None where nobody registered it.

    Raises:
        CasaeError: of the class `fault`: casae has that name itself, or the package cannot be imported.
    """
    point = registered(group).get(name)
    if point is None:
        return own.get(name)
    if name in own:
        raise fault(f"{name}: {origin(point)} registers a name that casae has itself; rename it there or uninstall it")
    try:
        found: T = point.load()
    except Exception as error:  # whatever the code of others raises
        raise fault(f"{name}: {origin(point)} cannot be imported ({error}); mend or uninstall it") from error
    return found


def origin(point: EntryPoint) -> str:
    """Where an entry point comes from, for people."""
    package = point.dist.name if point.dist else "a package"
    return f"{package} ({point.value})"
