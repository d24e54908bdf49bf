"""`casae train`."""

from pathlib import Path
from typing import Annotated

import typer


def train(
    dataset: Annotated[str, typer.Argument(help="folder:PATH, sd-saliency-900:PATH or neu-seg:PATH")],
    out: Annotated[Path, typer.Option(help="Model file to write, NAME.casae.")],
    split: Annotated[
        str | None, typer.Option(help="List to learn from: 'train' where there is one, else 'all'.")
    ] = None,
    preset: Annotated[
        str, typer.Option(help="'fast' for a machine without a GPU, 'paper' for the paper's numbers.")
    ] = "fast",
    width: Annotated[int | None, typer.Option(help="Features of the first level.", min=2)] = None,
    size: Annotated[int | None, typer.Option(help="Longer side of the network's input, px, a multiple of 32.")] = None,
    epochs_1: Annotated[int | None, typer.Option("--epochs-1", help="Epochs of network 1.", min=1)] = None,
    epochs_2: Annotated[int | None, typer.Option("--epochs-2", help="Epochs of network 2.", min=1)] = None,
    minutes: Annotated[float | None, typer.Option(help="Time for the training instead of epochs.")] = None,
    seed: Annotated[int, typer.Option(help="Same seed, data and threads: same model.", min=0)] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted training.")] = False,
) -> None:
    """Learn from labelled images and write a model.

    Ctrl-C ends the training early and keeps the best so far. Exit codes: 0 done, 2 wrong usage or data.
    """
    import shlex
    import sys

    from rich.console import Console

    from casae.datasets.readers import open_dataset
    from casae.errors import MissingExtraError

    try:
        from casae.training.progress import Reporter
        from casae.training.train import train as run
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"training needs {error.name}; install it with: pip install 'casae[train]'") from error
    from casae.training.recipe import settings_for

    settings = settings_for(preset, width, size, epochs_1, epochs_2, minutes, seed)
    data = open_dataset(dataset)
    chosen = split or ("train" if "train" in data.splits else "all")
    command = shlex.join(["casae", *(word for word in sys.argv[1:] if word != "--resume")])
    console = Console()
    with Reporter(console) as reporter:
        trained = run(data, out, settings, split=chosen, resume=resume, command=command, reporter=reporter)
    console.print(f"\n[bold]{trained.file}[/bold] ({trained.file.stat().st_size / 1e6:.1f} MB)")
    for name, value in trained.scores.items():
        console.print(f"  {name:<32}{'-' if value is None else format(value, '.4g')}")
    console.print(f"Next: casae inspect IMAGES --model {trained.file}", soft_wrap=True)
