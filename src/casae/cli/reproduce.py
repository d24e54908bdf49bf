"""`casae reproduce`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from casae.cli import DATASET_HELP

What = Literal["table3", "table4", "figure6", "figure7", "figure8", "figure9", "neu-seg"]


def reproduce(
    what: Annotated[What, typer.Argument(help="A table or figure of the paper, or the NEU-Seg comparison.")],
    data: Annotated[str, typer.Option(help=DATASET_HELP)],
    out: Annotated[Path, typer.Option(help="Folder for tables, pictures and weights.")] = Path("reproduced"),
    split: Annotated[
        str | None, typer.Option(help="List to learn from, but for table4. Default: 'train', for figure8 'train10'.")
    ] = None,
    test: Annotated[str, typer.Option(help="List to judge on, but for table4.")] = "test",
    seeds: Annotated[int, typer.Option(help="How often, with another seed each time.", min=1)] = 3,
    views: Annotated[
        int, typer.Option(help="table3, figure6: augmented images a row; a cascade shares them, 60 % and 40 %.", min=8)
    ] = 10_000,
    iterations: Annotated[
        int, typer.Option(help="table4, figure7: steps of the compact CNN; 30000 in the paper.", min=1)
    ] = 1500,
    minutes: Annotated[float, typer.Option(help="figure8, figure9, neu-seg: time of a training.", min=0.01)] = 10,
    preset: Annotated[
        str | None, typer.Option(help="Default: 'fast' for figure8 and figure9, else 'scratch'; 'paper' works too.")
    ] = None,
    width: Annotated[int | None, typer.Option(help="Features of the first level.", min=2)] = None,
    size: Annotated[int | None, typer.Option(help="Side of the networks' input, px, a multiple of 32.")] = None,
) -> None:
    """Make a table or figure of the paper on public data, as Markdown, JSON and PNG.

    The same command goes on after an interruption; finished rows are kept. table4 and figure7 take all labelled images
    and recipes of their own. Exit codes: 0 done, 130 stopped by Ctrl-C, 2 wrong usage or data.
    """
    import shlex
    import sys

    from rich.console import Console

    from casae.datasets.registry import open_dataset
    from casae.errors import MissingExtraError

    try:
        import matplotlib  # noqa: F401
        import skimage  # noqa: F401
        import sklearn  # noqa: F401

        from casae.reproduction.run import Request
        from casae.reproduction.run import reproduce as run
        from casae.training.progress import Reporter
    except ModuleNotFoundError as error:
        raise MissingExtraError.of(f"reproduce needs {error.name}", "reproduce") from error

    request = Request(split, test, seeds, views, iterations, minutes, preset, width, size)
    console, dataset = Console(), open_dataset(data)
    with Reporter(console) as reporter:
        made = run(what, dataset, out, request, shlex.join(["casae", *sys.argv[1:]]), reporter)
    if made.suffix == ".md":
        console.print(made.read_text("utf-8"), markup=False, soft_wrap=True)
    console.print(f"Tables and pictures: {out}", soft_wrap=True, markup=False)
