"""`casae calibrate ...`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from casae.calibration.calibration import Calibration

app = typer.Typer(help="Find out how large a pixel is, and what the lens bends.")
TILTED = 2.0  # degrees from which it is said

Out = Annotated[Path, typer.Option(help="Calibration file to write (TOML); its stem is its name.")]
Pictures = Annotated[
    list[Path], typer.Argument(metavar="PICTURE...", help="Of the grid; the first shows it where parts will lie.")
]
Count = Annotated[str, typer.Option(metavar="CxR", help="Marks a row and rows, such as 9x6.")]
Step = Annotated[float, typer.Option(metavar="MM", min=1e-6, help="From one mark to the next.")]


@app.callback()
def _group() -> None:
    pass


@app.command()
def chessboard(
    pictures: Pictures,
    corners: Annotated[str, typer.Option(metavar="CxR", help="Corners inside, between four squares, such as 9x6.")],
    square_mm: Annotated[float, typer.Option(metavar="MM", min=1e-6, help="Side of a square.")],
    out: Out = Path("calibration.toml"),
) -> None:
    """From pictures of a chessboard: the scale, and the lens. One straight from above is enough; several are better.

    Exit codes: 0 done, 2 wrong usage, or the board is not found.
    """
    _grid("chessboard", pictures, corners, square_mm, out)


@app.command()
def circles(
    pictures: Pictures,
    dots: Count,
    step_mm: Step,
    asymmetric: Annotated[
        bool, typer.Option("--asymmetric", help="Every second row is moved; MM is half of the distance in a row.")
    ] = False,
    out: Out = Path("calibration.toml"),
) -> None:
    """From pictures of a grid of dark dots: as of a chessboard.

    Exit codes: 0 done, 2 wrong usage, or the dots are not found.
    """
    _grid("asymmetric circles" if asymmetric else "circles", pictures, dots, step_mm, out)


@app.command()
def ruler(
    start: Annotated[str, typer.Option("--from", metavar="X,Y", help="One mark of the ruler, px.")],
    end: Annotated[str, typer.Option("--to", metavar="X,Y", help="Another one, far away.")],
    mm: Annotated[float, typer.Option(metavar="MM", min=1e-9, help="From the one to the other.")],
    picture: Annotated[
        Path | None, typer.Argument(help="In which they were read; fixes the size it holds for.")
    ] = None,
    out: Out = Path("calibration.toml"),
) -> None:
    """From two points whose distance is known.

    Exit codes: 0 done, 2 wrong usage.
    """
    from casae.calibration.estimate import from_ruler
    from casae.errors import UsageError

    marks = {"--from": _point(start, "--from"), "--to": _point(end, "--to")}
    found = from_ruler(marks["--from"], marks["--to"], mm, out.stem)
    if picture is not None:
        ((_, image),) = _read([picture])
        for option, (x, y) in marks.items():
            if not (-0.5 <= x <= image.shape[1] - 0.5 and -0.5 <= y <= image.shape[0] - 0.5):
                size = f"{image.shape[1]} x {image.shape[0]} px"
                raise UsageError(f"{option} {x:g},{y:g}: lies outside of {picture}, {size}; read it once more")
        found = found.model_copy(update={"width_px": image.shape[1], "height_px": image.shape[0]})
    _write(found, [] if picture is None else [picture], out)


@app.command()
def coin(
    picture: Annotated[Path, typer.Argument(help="Of a coin alone on an even ground.")],
    diameter_mm: Annotated[float, typer.Option(metavar="MM", min=1e-6, help="Of the coin: 23.25 has one of 1 euro.")],
    out: Out = Path("calibration.toml"),
) -> None:
    """From a picture of a coin, or of another disc of known diameter.

    Exit codes: 0 done, 2 wrong usage, or nothing round is found.
    """
    from casae.calibration.estimate import from_coin

    ((source, image),) = _read([picture])
    _write(from_coin(image, diameter_mm, source, out.stem), [picture], out)


def _grid(
    kind: Literal["chessboard", "circles", "asymmetric circles"],
    pictures: Sequence[Path],
    count: str,
    step_mm: float,
    out: Path,
) -> None:
    import re

    from casae.calibration.estimate import Grid, from_grid
    from casae.errors import UsageError

    sides = re.fullmatch(r"(\d{1,3})[xX](\d{1,3})", count)
    if not sides or min(int(sides[1]), int(sides[2])) < 3:
        raise UsageError(f"{count}: write marks a row x rows, three at least, such as 9x6")
    grid = Grid(kind, int(sides[1]), int(sides[2]), step_mm)
    _write(from_grid(_read(pictures), grid, out.stem), pictures, out)


def _read(pictures: Sequence[Path]) -> "list[tuple[str, NDArray[Any]]]":
    from casae.decoding import read_image

    return [(str(picture), read_image(picture)) for picture in pictures]


def _point(text: str, option: str) -> tuple[float, float]:
    from casae.errors import UsageError

    try:
        x, y = (float(value) for value in text.split(","))
    except ValueError as error:
        raise UsageError(f"{option} {text}: write x,y in px, such as 120,340") from error
    return x, y


def _write(found: "Calibration", pictures: Sequence[Path], out: Path) -> None:
    import hashlib
    from datetime import date

    hashes = tuple(hashlib.sha256(picture.read_bytes()).hexdigest() for picture in pictures)
    found = found.model_copy(update={"made": date.today().isoformat(), "pictures_sha256": hashes})
    found.write(out)
    typer.echo(f"{found.mm_per_pixel:g} mm a pixel; sizes may be wrong by {found.error_percent:g} %")
    if found.straight_error_percent is not None and found.lens is not None:
        left = f"{found.lens.residual_px:g} px are left of the marks' places"
        typer.echo(f"With --straighten, by {found.straight_error_percent:g} %; {left}")
    if found.tilt_degrees is not None and found.tilt_degrees >= TILTED:
        askew = f"The grid lies {found.tilt_degrees:g} degrees askew"
        typer.echo(f"{askew}: sizes differ by direction; set the camera straight")
    typer.echo(f"Use it: casae inspect PICTURES --model MODEL --calibration {out}")
