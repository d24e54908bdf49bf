"""The command line: one thin module per command."""

from typing import Annotated, Literal

import typer

DATASET_HELP = (
    "READER:PATH, such as folder:my-part; others: coco, labelme, cvat, label-studio, label-studio-png, yolo, voc, "
    "mvtec, severstal, sd-saliency-900, neu-seg, nanotwice, dagm, kolektor-sdd, kolektor-sdd2, visa, magnetic-tile, "
    "rsdds, results (a folder of casae inspect)."
)

Core = Annotated[
    float | None,
    typer.Option(
        help="Smaller threshold that a pixel of every defect passes. Default: the model's; none with --threshold."
    ),
]
Threads = Annotated[int, typer.Option(min=0, help="Processor threads; 0 for all.")]
Looks = Annotated[
    int | None,
    typer.Option(
        metavar="[1|2|4|8]", help="At each picture, turned and mirrored; the mean counts. Default: the model's."
    ),
]
Precision = Annotated[
    Literal["auto", "f32", "bf16", "int8"],
    typer.Option(help="auto: int8 if the model holds it, else bf16 if the processor has it, else f32."),
]
