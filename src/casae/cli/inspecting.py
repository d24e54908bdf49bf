"""Options of what inspects pictures: how they are judged, and what is known of them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from casae.config import Precision
    from casae.inspection.inspector import Inspector
    from casae.line.parts import Told

Model = Annotated[str | None, typer.Option(help="Your .casae file; to try casae: component or strip-steel.")]
Threshold = Annotated[float | None, typer.Option(help="Threshold Gs; a larger one finds more. Default: the model's.")]
Scale = Annotated[float | None, typer.Option(help="Side of a pixel, mm; gives sizes in mm.")]
CalibrationFile = Annotated[Path | None, typer.Option(help="File of casae calibrate, instead. Default: the model's.")]
Straighten = Annotated[bool, typer.Option("--straighten", help="Remove what the lens bends, by it.")]
MinArea = Annotated[int | None, typer.Option(metavar="PX", help="Smaller regions are not reported.")]
Join = Annotated[
    float | None, typer.Option(metavar="PX", help="Pieces of one class at most so far apart are one defect.")
]
Rules = Annotated[Path | None, typer.Option(help="Acceptance rules (TOML). Default: no defect is accepted.")]
Roi = Annotated[
    Path | None, typer.Option(metavar="MASK", help="Image of the same size; only where it is white is looked.")
]
ZonesFile = Annotated[
    Path | None, typer.Option(help="Named zones of the part (TOML), for rules to name; see the docs.")
]
MaxMegapixels = Annotated[float | None, typer.Option(metavar="MP", help="Larger images are refused. Default: 400.")]

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


def inspector_of(
    model: str | None,
    threshold: float | None,
    core: float | None,
    mm_per_pixel: float | None,
    calibration: Path | None,
    straighten: bool,
    min_area: int | None,
    join: float | None,
    rules: Path | None,
    roi: Path | None,
    zones: Path | None,
    threads: int,
    precision: "Precision",
    looks: int | None,
    max_megapixels: float | None,
) -> "Inspector":
    """What the options ask for.

    Raises:
        CasaeError: says which option is wrong.
    """
    from casae.cli.arguments import inspection_settings
    from casae.errors import UsageError
    from casae.inspection.inspector import Inspector

    settings = inspection_settings(
        gs=threshold,
        core_gs=core,
        mm_per_pixel=mm_per_pixel,
        min_area_px=min_area,
        join_px=join,
        threads=threads,
        precision=precision,
        looks=looks,
        max_megapixels=max_megapixels,
    )
    if model is None:
        own = "your own my-part.casae that casae train wrote, or, to try casae, component"
        raise UsageError(f"--model: no model is named; say {own}")
    return Inspector(model, settings, rules, roi, zones, calibration, straighten)
