"""`casae train`."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from casae.cli import DATASET_HELP

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from casae.evaluation.scores import Evaluation
    from casae.evaluation.uses import Use
    from casae.training.judge import FoldScore, JudgedModel

SHOWN = (  # of the scores; the page has them all
    "iou",
    "region_recall",
    "false_regions_per_image",
    "escaped_images",
    "rejected_good_images",
    "accuracy_true_crops",
)
LONG, INPUT, JUDGING, GOING_ON = "How long", "What the networks see", "Judging", "Going on, and where"


def train(
    dataset: Annotated[str, typer.Argument(help=DATASET_HELP)],
    out: Annotated[Path, typer.Option(help="Model file to write, NAME.casae.")],
    split: Annotated[
        str | None, typer.Option(help="List to learn from: 'train' where there is a list, else 'all'.")
    ] = None,
    preset: Annotated[
        str,
        typer.Option(help="'fast' for few images, 'scratch' for no start weights, 'paper' for the paper's numbers."),
    ] = "fast",
    start: Annotated[
        str | None,
        typer.Option(
            "--start",
            "--from",
            help="Start from an earlier training's NAME-training/weights.pt, or from 'scratch'.",
        ),
    ] = None,
    unlabelled: Annotated[
        Path | None, typer.Option(help="Folder of images without labels, from the same line, to learn from as well.")
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Same seed, data, threads and epochs: same model; with --minutes nearly.", min=0)
    ] = 0,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Another setting, such as paste=0.3."),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Time for the training instead of epochs.", rich_help_panel=LONG)
    ] = None,
    epochs_1: Annotated[
        int | None, typer.Option("--epochs-1", help="Epochs of network 1.", min=1, rich_help_panel=LONG)
    ] = None,
    epochs_2: Annotated[
        int | None, typer.Option("--epochs-2", help="Epochs of network 2.", min=1, rich_help_panel=LONG)
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(help="Longer side of the networks' input, px, a multiple of 32.", rich_help_panel=INPUT),
    ] = None,
    tile: Annotated[
        bool | None,
        typer.Option("--tile/--no-tile", help="Cut images into tiles. Default: by the data.", rich_help_panel=INPUT),
    ] = None,
    colour: Annotated[
        bool | None,
        typer.Option(
            "--colour/--gray",
            help="What is learned of colour pictures. Default: by the labelled defects.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    hold_out: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Part of the images that judges and is not learned from, of good ones at least ten, or half; 0: none. "
            "Default: 0.1 without a list val.",
            rich_help_panel=JUDGING,
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            help="How to choose the thresholds: recall=0.99, images=0.99, good=0.95, f1 or keep.",
            rich_help_panel=JUDGING,
        ),
    ] = None,
    folds: Annotated[
        int,
        typer.Option(
            help="Train K models more, each judged on another K-th of the images.", min=0, rich_help_panel=JUDGING
        ),
    ] = 0,
    looks: Annotated[
        int | None,
        typer.Option(
            metavar="[1|2|4|8]",
            help="That the model takes at each picture, turned and mirrored; the mean counts. Default: 1.",
            rich_help_panel=JUDGING,
        ),
    ] = None,
    cycle_ms: Annotated[
        float | None,
        typer.Option(
            "--cycle-ms",
            help="Time for an inspection on this machine: the most looks that fit.",
            rich_help_panel=JUDGING,
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an interrupted training.", rich_help_panel=GOING_ON)
    ] = False,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="Ray cluster for the model and its folds at once.", rich_help_panel=GOING_ON
        ),
    ] = None,
    cores: Annotated[int, typer.Option(min=1, help="Of each training there.", rich_help_panel=GOING_ON)] = 1,
    device: Annotated[
        Literal["auto", "cpu", "cuda"],
        typer.Option(help="auto: a GPU where PyTorch finds one.", rich_help_panel=GOING_ON),
    ] = "auto",
    mlflow: Annotated[
        str | None,
        typer.Option(
            metavar="URI",
            help="MLflow server or sqlite:///FILE that gets the curves too.",
            rich_help_panel=GOING_ON,
        ),
    ] = None,
) -> None:
    """Learn from labelled images and write a model.

    Ctrl-C brings the training to its end soon. Exit codes: 0 done, 2 wrong usage or data, 130
    stopped by Ctrl-C before there was a model.
    """
    import shlex
    import sys

    from rich.console import Console

    from casae.datasets.registry import open_dataset
    from casae.errors import MissingExtraError
    from casae.evaluation.looks import check_looks
    from casae.evaluation.thresholds import check_target
    from casae.recipes import parsed, settings_for

    given = {
        "epochs_1": epochs_1,
        "epochs_2": epochs_2,
        "minutes": minutes,
        "seed": seed,
        "size": size,
        "start": start,
        "hold_out_share": hold_out,
        "channels": None if colour is None else 3 if colour else 1,
    }
    check_target(target)
    check_looks(looks, cycle_ms)
    recipe = settings_for(preset, tile=tile, **given | dict(map(parsed, settings or ())))
    data = open_dataset(dataset)
    try:  # only now: PyTorch takes seconds to load, and a slip of the keyboard is told at once
        from casae.training import crew
        from casae.training.judge import train_and_judge
        from casae.training.progress import Reporter
        from casae.training.stop import Stop
    except ModuleNotFoundError as error:
        raise MissingExtraError.of(f"training needs {error.name}", "train") from error
    command = shlex.join(["casae", *(word for word in sys.argv[1:] if word != "--resume")])
    console = Console(quiet=not crew.leads())
    with Reporter(console, mlflow) as reporter, suppress(crew.HelpedError):
        judged = train_and_judge(
            data,
            out,
            recipe,
            split=split,
            target=target,
            folds=folds,
            unlabelled=unlabelled,
            resume=resume,
            command=command,
            reporter=reporter,
            stop=Stop(),
            device=device,
            ray=ray,
            cores=cores,
            looks=looks,  # type: ignore[arg-type]  # checked above
            cycle_ms=cycle_ms,
        )
    if not crew.leads():
        return
    _print(console, judged)


def _print(console: "Console", judged: "JudgedModel") -> None:
    from rich.markup import escape

    from casae.evaluation.uses import escapes_and_rejects

    file = judged.file
    console.print(f"\n[bold]{escape(str(file))}[/bold] ({file.stat().st_size / 1e6:.1f} MB)")
    if judged.folds:
        _print_folds(console, judged.folds)
    if judged.chosen is None:
        console.print("Nothing was held out: judge it with casae evaluate on other labelled images", soft_wrap=True)
    else:
        chosen = judged.chosen
        console.print(f"Threshold Gs {chosen.gs:g}, core {chosen.core_gs:g}: {judged.why}", soft_wrap=True)
    more = "; ".join(map(str, judged.looks))
    console.print(f"Looks at each picture: {judged.looks_why}. {more}".rstrip(". "), soft_wrap=True, highlight=False)
    if judged.result:
        _print_scores(console, judged.result)
    if judged.page:
        console.print(f"How good it is, with pictures: {judged.page}", soft_wrap=True, markup=False)
    good = _print_uses(console, judged.uses)
    following = f"casae inspect IMAGES --model {file}" if good else "more minutes or labels; the page says why"
    console.print(f"Next: {following}", soft_wrap=True, markup=False)
    if judged.chosen is not None:
        chosen = judged.chosen
        said = escapes_and_rejects(chosen.passed, chosen.defective, chosen.rejected, chosen.good)
        console.print(f"[bold]{said}[/bold]", soft_wrap=True, highlight=False)


def _print_uses(console: "Console", uses: "Sequence[Use]") -> bool:
    """What the model is good enough for; whether it may show a person where to look, as far as that was judged."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    for use in uses:
        colour = {"yes": "green", "no": "red"}.get(use.grade, "yellow")
        table.add_row(f"good enough to {use.name}?", f"[{colour}]{use.grade}[/]")
    if uses:
        console.print(table)
    return all(use.grade != "no" for use in uses[1:2])


def _print_scores(console: "Console", result: "Evaluation") -> None:
    """At the thresholds that the model has, as on the page."""
    from rich.table import Table

    from casae.evaluation.judgement import shown

    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for heading in (f"on {len(result.images)} held-out images", "value", "95 % interval", "counted"):
        table.add_column(heading)
    scores = result.scores()
    for name in SHOWN:
        if scores[name].value is not None:
            table.add_row(name, shown(scores[name]), scores[name].spread or "too few images", scores[name].counted)
    console.print(table)


def _print_folds(console: "Console", folds: "Mapping[str, FoldScore]") -> None:
    from rich.table import Table

    count = max(len(score.each) for score in folds.values())
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), title=f"{count} folds", title_justify="left")
    for heading in ("score", "mean", "spread", "each fold"):
        table.add_column(heading)
    for name, score in folds.items():
        each = "  ".join(f"{value:.3f}" for value in score.each)
        table.add_row(name, f"{score.mean:.3f}", f"{score.spread:.3f}", each)
    console.print(table)
