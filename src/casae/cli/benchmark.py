"""`casae benchmark`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from casae.cli import Looks, Precision, Threads

if TYPE_CHECKING:
    from rich.console import Console

    from casae.line.speed import Speed

HEIGHT, WIDTH, DEFECTS, SEED = 2040, 2720, 5, 2018  # of the image that is drawn where none is given: the paper's size


def benchmark(
    model: Annotated[str, typer.Option(help="A .casae file, or a shipped model.")] = "component",
    image: Annotated[
        Path | None, typer.Option(help="Image file. Default: a drawn component, 2720 x 2040 px, colour JPEG.")
    ] = None,
    rounds: Annotated[int, typer.Option(help="Inspections that are timed.", min=1)] = 30,
    streams: Annotated[str, typer.Option(help="Numbers of inspections at once, such as 1,2.")] = "1,2",
    threads: Threads = 0,
    precision: Precision = "auto",
    looks: Looks = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the figures here.")] = None,
) -> None:
    """Measure how long inspections take on this machine, from the file to the recorded result.

    Exit codes: 0 done, 2 wrong usage.
    """
    import tempfile
    from dataclasses import asdict

    from rich.console import Console

    from casae.cli.arguments import inspection_settings, write_json
    from casae.cli.progress import progress
    from casae.errors import UsageError
    from casae.line.speed import measure_speed

    settings = inspection_settings(threads=threads, precision=precision, looks=looks)
    try:
        counts = [int(count) for count in streams.split(",")]
    except ValueError as error:
        raise UsageError(f"--streams {streams}: must be whole numbers, such as 1,2") from error
    if min(counts) < 1:
        raise UsageError(f"--streams {streams}: an inspection at once is the least; say 1,2")
    total = rounds + (rounds + 2) * sum(counts)
    with tempfile.TemporaryDirectory() as folder, progress("measuring", total) as step:
        file = image or _drawn(Path(folder))
        speed = measure_speed(model, file, settings, rounds, counts, step)
    _print(Console(), speed, model, str(image or f"drawn, {WIDTH} x {HEIGHT} px, JPEG"))
    if json:
        write_json(json, asdict(speed))


def _drawn(folder: Path) -> Path:
    from casae.image import encode
    from casae.synthetic.components import draw_component

    file = folder / "component.jpg"
    file.write_bytes(encode(draw_component(SEED, HEIGHT, WIDTH, defects=DEFECTS).picture, ".jpg"))
    return file


def _print(console: "Console", speed: "Speed", model: str, image: str) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(
        box=None, padding=(0, 3, 0, 0), title=escape(f"{image}, {speed.defects} defects, {model}"), title_justify="left"
    )
    for heading in ("stage", "p50 ms", "p95 ms", "p99 ms"):
        table.add_column(heading, justify="left" if heading == "stage" else "right")
    for stage, timing in speed.stages.items():
        table.add_row(stage, *(f"{value:.1f}" for value in (timing.p50, timing.p95, timing.p99)))
    console.print(table)
    for count, rate in speed.images_per_second.items():
        console.print(f"{count} stream{'s' * (count > 1)}: {rate:.1f} images/s")
    agreement = "" if speed.mask_agreement is None else f", mask IoU with f32 {speed.mask_agreement:.4f}"
    memory = "" if speed.peak_mb is None else f", peak memory {speed.peak_mb:.0f} MB"
    console.print(f"{speed.precision}{agreement}, {speed.threads} threads{memory}")
    console.print(f"{speed.processor}: {', '.join(speed.features)}", soft_wrap=True)
