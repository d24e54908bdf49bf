"""`casae train`."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from casae.cli import DATASET_HELP

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rich.console import Console

    from casae.datasets.sample import Dataset, Sample
    from casae.evaluation.thresholds import Cost
    from casae.labelled.holdout import Fold
    from casae.training.train import Trained


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
    width: Annotated[int | None, typer.Option(help="Features of the first level.", min=2)] = None,
    size: Annotated[int | None, typer.Option(help="Longer side of the network's input, px, a multiple of 32.")] = None,
    patch: Annotated[
        int | None,
        typer.Option(help="Side of the pixel squares that the networks see as one: 1, 2 or 4; 4 is quicker."),
    ] = None,
    tile: Annotated[
        bool | None,
        typer.Option("--tile/--no-tile", help="Cut images into tiles. Default: by the data."),
    ] = None,
    scale: Annotated[
        float | None, typer.Option(help="Scale of images before they are cut into tiles, 0..1. Default: by the data.")
    ] = None,
    epochs_1: Annotated[int | None, typer.Option("--epochs-1", help="Epochs of network 1.", min=1)] = None,
    epochs_2: Annotated[int | None, typer.Option("--epochs-2", help="Epochs of network 2.", min=1)] = None,
    minutes: Annotated[float | None, typer.Option(help="Time for the training instead of epochs.")] = None,
    seed: Annotated[
        int, typer.Option(help="Same seed, data, threads and epochs: same model; with --minutes nearly.", min=0)
    ] = 0,
    start: Annotated[
        str | None,
        typer.Option("--from", help="Start from an earlier training's NAME-training/weights.pt, or from 'scratch'."),
    ] = None,
    hold_out: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Part of the images that judges and is not learned from; 0: none. Default: 0.1 without a list val.",
        ),
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="How to choose the thresholds: recall=0.99, images=0.99, f1 or keep.")
    ] = None,
    paste: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="Views that get another picture's labelled defects too, 0..1. Default: 0."),
    ] = None,
    folds: Annotated[
        int, typer.Option(help="Train K models more, each judged on another K-th of the images.", min=0)
    ] = 0,
    unlabelled: Annotated[
        Path | None, typer.Option(help="Folder of images without labels, from the same line, to learn from as well.")
    ] = None,
    mlflow: Annotated[
        str | None, typer.Option(metavar="URI", help="MLflow server or sqlite:///FILE that gets the curves too.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted training.")] = False,
) -> None:
    """Learn from labelled images and write a model.

    Ctrl-C brings the training to its end soon. Exit codes: 0 done, 2 wrong usage or data, 1 or 130
    stopped by Ctrl-C before there was a model.
    """
    import shlex
    import sys

    from rich.console import Console
    from rich.markup import escape

    from casae.datasets.registry import open_dataset
    from casae.errors import MissingExtraError, UsageError
    from casae.evaluation.thresholds import check_target
    from casae.recipes import IMAGENET, SCRATCH

    try:
        from casae.labelled.holdout import Fold
        from casae.labelled.holdout import hold_out as divide
        from casae.training.progress import Reporter
        from casae.training.state import check_folds
        from casae.training.train import train as run
    except ModuleNotFoundError as error:
        advice = "in casae's folder: pip install '.[train]' -c constraints.txt"
        raise MissingExtraError(f"training needs {error.name}; {advice}") from error
    from casae.recipes import settings_for

    check_target(target)
    if folds == 1:
        raise UsageError("--folds 1: one part cannot be learned from and held out; 5 is usual")
    if folds and start not in (None, SCRATCH, IMAGENET):
        raise UsageError(f"--folds with --from {start}: these weights may have learned what a fold holds out; drop one")
    settings = settings_for(
        preset,
        tile=tile,
        width=width,
        size=size,
        epochs_1=epochs_1,
        epochs_2=epochs_2,
        minutes=minutes,
        seed=seed,
        scale=scale,
        start=start,
        validation_share=hold_out,
        patch=patch,
        paste=paste,
    )
    data = open_dataset(dataset)
    chosen = split or ("train" if "train" in data.splits else "all")
    if hold_out is not None and "val" in data.splits and chosen != "val" and not resume:
        raise UsageError(f"--hold-out {hold_out:g}: list 'val' of {dataset} is held out; rename it, or drop --hold-out")
    if folds:  # what cannot be cut is said now, and not when the first model is done
        divide(data, chosen, 0, settings.seed, Fold(0, folds))
        check_folds(data.split(chosen), [_fold_file(out, index) for index in range(folds)], resume)
    command = shlex.join(["casae", *(word for word in sys.argv[1:] if word != "--resume")])
    console = Console()

    def learn(file: Path, fold: "Fold | None" = None) -> "Trained":
        with Reporter(console, mlflow) as reporter:
            return run(
                data,
                file,
                settings,
                split=chosen,
                resume=resume,
                fold=fold,
                unlabelled=unlabelled,
                command=command,
                reporter=reporter,
            )

    target = target or ("keep" if preset == "paper" else None)
    trained = learn(out)
    console.print(f"\n[bold]{escape(str(trained.file))}[/bold] ({trained.file.stat().st_size / 1e6:.1f} MB)")
    _print_scores(console, trained.scores)
    if folds and trained.early:
        console.print("Ended early: the folds are left out")
    judged = _learn_folds(console, learn, out, folds) if folds and not trained.early else Folds()
    _judge(console, trained, _without_label(data, data.split(chosen), trained, unlabelled), target, judged)
    console.print(f"Next: casae inspect IMAGES --model {trained.file}", soft_wrap=True, markup=False)


def _without_label(data: "Dataset", part: "Dataset", trained: "Trained", unlabelled: Path | None) -> "list[Sample]":
    """Images that could be labelled next: of the dataset, and of the folder of unlabelled ones."""
    from casae.datasets.sample import Sample
    from casae.training.unlabelled import unlabelled_images

    judged = set(data.splits.get("test", ()))
    found = [sample for sample in data.samples if not sample.labelled and sample.name not in judged]
    if unlabelled:
        known = {sample.image.resolve() for sample in found}
        more = unlabelled_images(unlabelled, data, (part, trained.validation), seed=0)
        found += [Sample(file.stem, file) for file in more if file.resolve() not in known]
    return found


def _judge(
    console: "Console",
    trained: "Trained",
    unlabelled: "Sequence[Sample]",
    target: str | None,
    folds: "Folds",
) -> None:
    """Choose the threshold on the held-out images, and write the page that shows how good the model is on them.

    The threshold is chosen by the folds where there are any. Where nothing is held out, there is no page, and without
    folds the thresholds stay the usual ones.
    """
    from casae.cli.progress import progress
    from casae.evaluation.page import Training, write_page
    from casae.evaluation.scores import evaluate
    from casae.evaluation.thresholds import choose, cost_curve
    from casae.inspection.inspector import Inspector
    from casae.models.card import add_scores

    held = bool(trained.validation.samples)
    if not held and not folds.costs:
        console.print("Nothing was held out: judge it with casae evaluate on other labelled images", soft_wrap=True)
        return
    fresh = Inspector(trained.file)
    with progress("thresholds", len(trained.validation.samples)) as step:
        costs = folds.costs or cost_curve(fresh, trained.validation, done=step)
    chosen, why = choose(costs, target, fresh.manifest.core_gs)
    part = "all folds" if folds.costs else "validation"
    of_folds = _fold_scores(console, folds, chosen)
    for name, scores in of_folds.items():
        add_scores(trained.file, name, scores)
    add_scores(trained.file, f"{part}, at Gs", chosen.summary(), gs=chosen.gs, core_gs=chosen.core_gs)
    console.print(f"Threshold Gs {chosen.gs:g}, core {chosen.core_gs:g}: {why}", soft_wrap=True)
    _print_scores(console, chosen.summary())
    if not held:
        return
    inspector = Inspector(trained.file)
    with progress("judging", len(trained.validation.samples)) as step:
        result = evaluate(inspector, trained.validation, step)
    page = trained.file.with_suffix(".html")
    training = Training(
        inspector, trained.validation, result, costs, chosen, why, trained.folder, trained.seconds / 60, of_folds
    )
    write_page(page, training, unlabelled)
    console.print(f"How good it is, with pictures: {page}", soft_wrap=True, markup=False)


def _print_scores(console: "Console", scores: "Mapping[str, float | None]") -> None:
    for name, value in scores.items():
        console.print(f"  {name:<32}{'-' if value is None else format(value, '.4g')}")


def _fold_file(out: Path, index: int) -> Path:
    return out.with_name(f"{out.stem}-fold-{index + 1}.casae")


@dataclass(frozen=True)
class Folds:
    """What folds tell.

    Attributes:
        models: the model of each, and the images that it did not learn from.
        costs: of each threshold on all of these images.
    """

    models: "Sequence[tuple[Path, Dataset]]" = ()
    costs: "Sequence[Cost]" = ()


def _learn_folds(console: "Console", learn: "Callable[[Path, Fold], Trained]", out: Path, count: int) -> Folds:
    from casae.evaluation.thresholds import cost_curve
    from casae.inspection.inspector import Inspector
    from casae.labelled.holdout import Fold

    models: list[tuple[Path, Dataset]] = []
    costs: list[Cost] = []
    for index in range(count):
        file = _fold_file(out, index)
        trained = learn(file, Fold(index, count))
        if trained.early:
            console.print("Ended early: the folds are left out")
            return Folds()
        models.append((file, trained.validation))
        costs = cost_curve(Inspector(file), trained.validation, costs)
    return Folds(models, costs)


def _fold_scores(console: "Console", folds: Folds, chosen: "Cost") -> dict[str, dict[str, float | None]]:
    """How much a score at the chosen thresholds depends on which images are learned from: mean and spread over folds,
    by their titles.
    """
    import statistics

    from rich.table import Table

    from casae.config import InspectionSettings
    from casae.evaluation.scores import evaluate
    from casae.inspection.inspector import Inspector

    if not folds.models:
        return {}
    settings = InspectionSettings(gs=chosen.gs, core_gs=chosen.core_gs)
    rows = [evaluate(Inspector(file, settings), held).scores() for file, held in folds.models]
    title = f"{len(rows)} folds"
    table = Table(box=None, padding=(0, 3, 0, 0), title=title, title_justify="left")
    for heading in ("score", "mean", "spread", "each fold"):
        table.add_column(heading)
    means: dict[str, float | None] = {}
    spreads: dict[str, float | None] = {}
    for name in rows[0]:
        values = [value for row in rows if (value := row[name].value) is not None]
        if len(values) > 1:
            means[name], spreads[name] = statistics.mean(values), statistics.stdev(values)
            each = "  ".join(f"{value:.3f}" for value in values)
            table.add_row(name, f"{means[name]:.3f}", f"{spreads[name]:.3f}", each)
    console.print(table)
    return {f"mean of {title}": means, f"spread of {title}": spreads}
