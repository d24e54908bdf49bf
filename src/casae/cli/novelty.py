"""`casae novelty`."""

from pathlib import Path
from typing import Annotated

import typer

from casae.cli import DATASET_HELP, Threads


def novelty(
    model: Annotated[str, typer.Argument(help="A .casae file, or a shipped model.")],
    dataset: Annotated[str, typer.Argument(help=DATASET_HELP)],
    split: Annotated[str, typer.Option(help="List of pictures that are usual; 'all' of them by default.")] = "all",
    out: Annotated[Path | None, typer.Option(help="Model file to write. Default: MODEL itself.")] = None,
    threads: Threads = 0,
) -> None:
    """Tell a model which pictures are usual, without training: others are for a person, as unlike what was learned.

    Name all that is usual, what it was trained on too. No labels are needed. Exit codes: 0 written, 1 some pictures
    could not be read, 2 wrong usage or data.
    """
    from rich.console import Console

    from casae.cli.progress import progress
    from casae.datasets.registry import open_dataset
    from casae.models.bundle import resolve_model
    from casae.models.card import check_own
    from casae.training.novelty import relearn

    part = open_dataset(dataset).split(split)
    target = out or resolve_model(model)
    check_own(target, "novelty without --out")
    with progress("looking", len(part.samples)) as step:
        result = relearn(model, part, target, step, threads)
    before = "" if result.unlike is None else f", {result.unlike} of which were unlike the learned ones until now"
    said = f"{target} takes pictures like these {result.pictures} for usual{before}"
    Console().print(said, soft_wrap=True, markup=False)
    for problem in result.failures.values():
        typer.echo(f"left out: {problem}", err=True)
    if result.failures:
        raise typer.Exit(1)
