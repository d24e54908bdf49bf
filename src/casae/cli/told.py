"""Options that say what a line knows of its pictures."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from casae.line.parts import Told

Parts = Annotated[
    str | None,
    typer.Option(
        metavar="PATTERN",
        help="What file names say of the part, such as {serial}_{station} or {batch}/{serial}_*.",
        rich_help_panel="The part",
    ),
]
Product = Annotated[str | None, typer.Option(help="What the parts are.", rich_help_panel="The part")]
BatchOption = Annotated[str | None, typer.Option("--batch", help="That they were made in.", rich_help_panel="The part")]
Station = Annotated[str | None, typer.Option(help="Where pictures are taken.", rich_help_panel="The part")]
RecipeOption = Annotated[
    str | None, typer.Option("--recipe", help="That the line works by.", rich_help_panel="The part")
]
Camera = Annotated[str | None, typer.Option(help="That takes the pictures.", rich_help_panel="The part")]


def told_of(
    parts: str | None,
    product: str | None,
    batch: str | None,
    station: str | None,
    recipe: str | None,
    camera: str | None,
) -> "Told":
    """What the options say.

    Raises:
        UsageError: the pattern is none.
    """
    from casae.inspection.inspection import Part
    from casae.line.parts import PartPattern, Told

    always = Part(product=product, batch=batch, station=station, recipe=recipe)
    return Told(camera, PartPattern(parts) if parts else None, always)
