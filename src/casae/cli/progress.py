"""The bar that short commands show on a terminal."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from casae.progress import tell


@contextmanager
def progress(title: str, total: int) -> Iterator[Callable[..., None]]:
    """What to call after each step, from any thread and with anything; draws a bar on a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    errors = Console(stderr=True)
    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as bar:
        task, passed = bar.add_task(title, total=total), itertools.count(1)

        def step(*_: object) -> None:
            bar.advance(task)
            tell(title, next(passed) / max(total, 1))

        yield step
