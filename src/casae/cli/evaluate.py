"""`casae evaluate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from casae.cli import DATASET_HELP, Core, Looks, Precision

if TYPE_CHECKING:
    from rich.console import Console

    from casae.evaluation.judgement import Judgement
    from casae.evaluation.verdicts import Tally


def evaluate(
    dataset: Annotated[str, typer.Argument(help=DATASET_HELP)],
    model: Annotated[str, typer.Option(help="A .casae file, or a shipped model.")],
    split: Annotated[str, typer.Option(help="List to judge on, or 'all', what was learned from too.")] = "test",
    threshold: Annotated[float | None, typer.Option(help="Threshold Gs. Default: the model's.")] = None,
    core: Core = None,
    min_area: Annotated[int | None, typer.Option(metavar="PX", help="Smaller regions are not counted.")] = None,
    precision: Precision = "auto",
    looks: Looks = None,
    rules: Annotated[
        Path | None, typer.Option(help="Acceptance rules (TOML): also counts escaped and falsely rejected parts.")
    ] = None,
    zones: Annotated[Path | None, typer.Option(help="Zones of the part, for rules to name.")] = None,
    mm_per_pixel: Annotated[float | None, typer.Option(help="Side of a pixel, mm, for rules in mm.")] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the scores here.")] = None,
    sheet: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a picture of the worst cases here.")] = None,
    into_card: Annotated[
        bool, typer.Option("--into-card", help="Write the scores into the model's card, which changes its file.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
) -> None:
    """Measure a model on labelled images: pixels, regions, classes, with 95 % intervals.

    Exit codes: 0 done, 1 some images unreadable (named, the rest judged), 2 wrong usage or data.
    """
    from rich.console import Console

    from casae.cli.arguments import inspection_settings, write_json
    from casae.cli.progress import progress
    from casae.datasets.registry import open_dataset
    from casae.evaluation.judgement import evaluate as run
    from casae.evaluation.judgement import part_to_judge
    from casae.evaluation.sheet import write_sheet
    from casae.evaluation.verdicts import judge_parts
    from casae.inspection.inspector import Inspector
    from casae.models.card import add_scores

    if into_card:
        _check_card(model, (threshold, core, min_area, precision, looks) == (None, None, None, "auto", None))
    data = open_dataset(dataset)
    part = part_to_judge(data, split)
    settings = inspection_settings(
        gs=threshold,
        core_gs=core,
        min_area_px=min_area,
        precision=precision,
        looks=looks,
        mm_per_pixel=mm_per_pixel,
    )
    inspector = Inspector(model, settings, rules, zones=zones)
    with progress("evaluating", len(part.labelled.samples)) as step:
        judged = run(data, inspector, split, seed=seed, done=step)
    console = Console()
    _print(console, judged)
    unlabelled = len(part.samples) - len(part.labelled.samples)
    if unlabelled:
        unjudged = f"{unlabelled} images of '{split}' have no mask and are not judged{part.strays}"
        console.print(unjudged, style="yellow", markup=False)
    _print_learned(console, judged)
    content = judged.to_dict()
    if rules:
        with progress("judging", len(part.labelled.samples)) as step:
            tally, _ = judge_parts(part, inspector, step)
        _print_verdicts(console, rules, tally)
        content["verdicts"] = tally.to_dict()
    if json:
        write_json(json, content)
    if sheet:
        write_sheet(sheet, judged.result, inspector, part)
        console.print(f"Worst cases: {sheet}", soft_wrap=True, markup=False)
    if into_card:
        stated = {name: score.value for name, score in judged.scores.items()}
        add_scores(model, f"{split} of {_short(dataset)}", stated | {"images_learned_from": judged.learned_from})
    for reason in judged.result.failures.values():
        typer.echo(f"casae: {reason}", err=True)
    if judged.result.failures:
        raise typer.Exit(1)


def _check_card(model: str, own_settings: bool) -> None:
    from casae.errors import UsageError
    from casae.models.card import check_own

    if not own_settings:
        rule = "states scores of the model's own thresholds and precision; leave others out"
        raise UsageError(f"--into-card: {rule}")
    check_own(model, "--into-card")


def _print_verdicts(console: "Console", rules: Path, tally: "Tally") -> None:
    console.print(f"By {rules}", style="bold", markup=False, soft_wrap=True)
    for line in tally.lines():
        console.print(line, highlight=False, soft_wrap=True)
    for what, names in (("escaped", tally.escaped), ("rejected", tally.rejected)):
        if names:
            console.print(f"{what}: {', '.join(names)}", markup=False, soft_wrap=True)


def _print_learned(console: "Console", judged: "Judgement") -> None:
    if judged.perhaps_learned_from:
        console.print("Too good for a judgement if the model has learned from these images.", style="yellow")
    elif judged.learned_from:
        count = f"{judged.learned_from} of these {len(judged.result.images)} images"
        console.print(f"Too good for a judgement: the model has learned {count} or their copies.", style="yellow")


def _short(dataset: str) -> str:
    """A dataset without the path to it, which is nobody else's: `folder:my-part`, `sd-saliency-900`."""
    reader, _, path = dataset.partition(":")
    return f"{reader}:{Path(path).expanduser().resolve().name}" if reader == "folder" else reader


def _print(console: "Console", judged: "Judgement") -> None:
    from rich.markup import escape
    from rich.table import Table

    from casae.evaluation.judgement import shown
    from casae.evaluation.uses import escapes_and_rejects
    from casae.statistics.detection import in_words

    result = judged.result
    table = Table(
        box=None, pad_edge=False, padding=(0, 3, 0, 0), title=f"{len(result.images)} images", title_justify="left"
    )
    for heading in ("score", "value", "95 % interval", "counted"):
        table.add_column(heading)
    for name, score in judged.scores.items():
        known = score.value is not None
        interval = score.spread or "too few images"
        table.add_row(name, shown(score), interval if known else "nothing to count", score.counted)
    console.print(table)
    if len(result.classes) > 1:
        confusion = Table(
            box=None, padding=(0, 3, 0, 0), title="true crops: true class by predicted class", title_justify="left"
        )
        confusion.add_column("")
        for name in result.classes:
            confusion.add_column(escape(name), justify="right")
        for name, row in zip(result.classes, result.confusion(), strict=True):
            confusion.add_row(escape(name), *(str(count) for count in row))
        console.print(confusion)
    if said := in_words(result.detection()):
        console.print(said, soft_wrap=True, highlight=False)
    escaped, rejected = judged.scores["escaped_images"], judged.scores["rejected_good_images"]
    counts = (escaped.hits or 0, escaped.total or 0, rejected.hits or 0, rejected.total or 0)
    console.print(f"[bold]{escapes_and_rejects(*counts)}[/bold]", soft_wrap=True, highlight=False)
