"""`casae compare`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from casae.cli import DATASET_HELP, Precision

if TYPE_CHECKING:
    from rich.console import Console

    from casae.datasets.sample import Dataset
    from casae.evaluation.compare import Comparison
    from casae.inspection.inspector import Inspector

SHOWN = 10


def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="A .casae file, such as the one in use.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another one, such as the one that may replace it.")],
    dataset: Annotated[str, typer.Argument(help=DATASET_HELP)],
    split: Annotated[str, typer.Option(help="List to judge on, or 'all', what was learned from too.")] = "test",
    sheet: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a picture of what changed most here (JPEG).")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write scores and every image here.")
    ] = None,
    precision: Precision = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
) -> None:
    """Compare two models on labelled images: who is better, by how much, and where.

    Exit codes: 0 done, 1 some images unreadable (named, the rest judged), 2 wrong usage or data.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from casae.cli.arguments import inspection_settings, write_json
    from casae.cli.progress import progress
    from casae.datasets.registry import open_dataset
    from casae.evaluation.compare import compare as run
    from casae.evaluation.judgement import part_to_judge, shown
    from casae.inspection.inspector import Inspector

    part = part_to_judge(open_dataset(dataset), split)
    settings = inspection_settings(precision=precision)
    inspectors = Inspector(first, settings), Inspector(second, settings)
    with progress("comparing", 2 * len(part.labelled.samples)) as step:
        found = run(*inspectors, part, seed, step)
    console = Console()
    table = Table(
        box=None, pad_edge=False, padding=(0, 3, 0, 0), title=f"{len(found.pairs)} images", title_justify="left"
    )
    for heading in ("score", "A", "B"):
        table.add_column(heading)
    for name, (one, two) in found.scores(seed).items():
        table.add_row(name, shown(one), shown(two))
    console.print(table)
    _print_gain(console, found)
    changed = sorted(found.pairs, key=lambda pair: -abs(pair.gain))[:SHOWN]
    for pair in changed:
        if pair.gain:
            console.print(f"  {pair.gain:+.3f}  {escape(pair.first.name)}", highlight=False, soft_wrap=True)
    if sheet is not None:
        _write_sheet(sheet, inspectors, part, [pair.first.name for pair in changed if pair.gain])
        console.print(f"What changed most: {sheet}", soft_wrap=True, markup=False)
    if json_file is not None:
        write_json(json_file, found.to_dict(seed))
    failures = found.first.failures | found.second.failures
    for reason in failures.values():
        typer.echo(f"casae: {reason}", err=True)
    if failures:
        raise typer.Exit(1)


def _print_gain(console: "Console", found: "Comparison") -> None:
    worse, alike, better = found.wins
    gain, low, high = found.gain.value or 0.0, found.gain.low, found.gain.high
    console.print(f"B is better in {better} images, A in {worse}, alike in {alike}", highlight=False)
    if low is None or high is None:
        sure = f"({len(found.pairs)} images, too few for an interval): they do not tell which is better"
    else:
        said = "B is better" if low > 0 else "A is better" if high < 0 else "these images do not tell which is better"
        sure = f"(95 % interval {low:+.3f} .. {high:+.3f}): {said}"
    console.print(f"IoU of B less A: {gain:+.3f} {sure}", highlight=False)
    for name, count in zip("AB", found.learned, strict=True):
        if count:
            rule = f"Too good for {name}: it has learned {count} of these images or their copies"
            console.print(rule, style="yellow", highlight=False)


def _write_sheet(file: Path, inspectors: "tuple[Inspector, Inspector]", part: "Dataset", names: list[str]) -> None:
    from casae.decoding import read_image
    from casae.evaluation.compare import difference
    from casae.files import write_whole
    from casae.image import encode
    from casae.labelled.show import drawn, sheet

    samples = {sample.name: sample for sample in part.samples}
    pictures = []
    for name in names:
        image = read_image(samples[name].image)
        masks = [inspector.find(inspector.probability(image)).mask for inspector in inspectors]
        label = (samples[name].draw(image.shape, len(part.classes)) > 0).astype("uint8")
        pictures += [(f"label: {name}", drawn(image, label)), (name, difference(image, *masks))]
    write_whole(file, encode(sheet(pictures, ["label, or both found it", "only A", "only B"]), ".jpg"))
