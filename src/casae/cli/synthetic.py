"""`casae synthetic`."""

from pathlib import Path
from typing import Annotated, Literal

import typer


def synthetic(
    out: Annotated[Path, typer.Option(help="Folder to write, in the folder: format.")],
    count: Annotated[int, typer.Option(min=1, help="How many pictures.")] = 30,
    size: Annotated[str, typer.Option(metavar="WxH", help="Pixels, up to 2720x2040 and beyond.")] = "1360x1020",
    kind: Annotated[
        Literal["components", "tints", "faint"],
        typer.Option(help="tints: stains that only hue shows. faint: large areas of little contrast, and pits."),
    ] = "components",
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same pictures.")] = 0,
) -> None:
    """Draw pictures of metal parts with damage spots, glue marks, dust, fibres and scratches, and exact labels."""
    import re

    from casae.cli.progress import progress
    from casae.errors import UsageError
    from casae.synthetic.components import write_components

    sides = re.fullmatch(r"(\d{1,5})[xX](\d{1,5})", size)
    if not sides:
        raise UsageError(f"--size {size}: write width x height in pixels, such as 1360x1020")
    width, height = int(sides[1]), int(sides[2])
    with progress("drawing", count) as step:
        for file in write_components(out, count, seed, height, width, kind):
            step(file)
    typer.echo(f"{count} pictures in {out}; learn from them: casae train folder:{out} --out part.casae")
