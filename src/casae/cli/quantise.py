"""`casae quantise`."""

from pathlib import Path
from typing import Annotated

import typer

from casae.cli import DATASET_HELP, Threads


def quantise(
    model: Annotated[str, typer.Argument(help="A .casae file, or a shipped model.")],
    dataset: Annotated[str, typer.Argument(help=DATASET_HELP)],
    split: Annotated[
        str | None, typer.Option(help="List to calibrate and judge on: 'train' where there is one, else 'all'.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Model file to write. Default: MODEL itself.")] = None,
    only: Annotated[
        bool,
        typer.Option(
            "--only", help="Keep nothing but the int8 form: half the file. f32 and bf16 then use rounded weights."
        ),
    ] = False,
    threads: Threads = 0,
) -> None:
    """Give a model an int8 form, where that is faster on this machine and costs less than half a point of IoU.

    `casae inspect` then uses it. Exit codes: 0 written, 1 not worth it (nothing is written), 2 wrong usage or data.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from casae.cli.progress import progress
    from casae.datasets.registry import open_dataset
    from casae.models.bundle import resolve_model
    from casae.models.card import check_own
    from casae.training.quantise import images_of
    from casae.training.quantise import quantise as run

    data = open_dataset(dataset)
    part = data.split(split or ("train" if "train" in data.splits else "all"))
    target = out or resolve_model(model)
    check_own(target, "quantise without --out")
    console = Console()
    with progress("quantising", 2 * images_of(part)) as step:
        result = run(model, part, target, step, threads, only)
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for heading in ("arithmetic", f"IoU on {images_of(part)} images of {part.split_name}", "network, ms"):
        table.add_column(escape(heading), justify="left" if heading == "arithmetic" else "right")
    for form in (result.exact, result.int8):
        table.add_row(form.precision, f"{form.iou:.4f}", f"{form.milliseconds:.1f}")
    console.print(table)
    if result.refused:
        console.print(f"int8 is not kept: {result.refused}", soft_wrap=True, markup=False)
        raise typer.Exit(1)
    before = "" if only else f"; --precision {result.exact.precision} still does as before"
    console.print(f"{target} inspects in int8 from now on{before}", soft_wrap=True, markup=False)
