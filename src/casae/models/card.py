"""The model card that travels in a bundle: what the model is, what it learned from, how good it is, its limits."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from casae.errors import UsageError
from casae.models.bundle import SUFFIX, Bundle, Manifest, read_bundle, resolve_model, shipped_models, write_bundle

TEMPLATE = """# {name}

Finds and names defects on surfaces: cascaded autoencoder (CASAE), threshold module, minimum enclosing rectangles,
compact CNN (Tao et al. 2018, doi:10.3390/app8091575).

| | |
| --- | --- |
| classes | {classes} |
| input | {tones} {width} x {height} px, {fit}{scale} |
| looks at each picture | {looks} |
| threshold Gs | {gs:g}{core} |
| learned from | {dataset}, split `{split}`: {images} images{unlabelled}, {held} more held out for validation |
| data licence | {licence} |
| data sha256 | `{sha256}` |
| recipe | preset `{preset}`, start weights {start}, seed {seed} |
| command | `{command}` |
| versions | {versions} |

## Scores

{scores}

{trust}
The export differences are the largest differences of a probability between the trained and the exported network.

{notes}## Limits

The model knows surfaces, lamps, lenses and defects like those it learned from. On anything else, measure with
`casae evaluate` first and train on your own images.
"""


CHOSEN = (
    "Validation images, or those of all folds, may choose the thresholds; validation images choose the weights where "
    "eight or more have defects, and always without a one-cycle schedule. Then their scores are a little too good. "
    "Judge by a test split."
)
NOT_HELD = "No image was held out of the training. Judge by a test split."


def write_card(manifest: Manifest) -> str:
    """The card of a bundle, Markdown."""
    origin = manifest.dataset
    return TEMPLATE.format(
        name=manifest.name,
        classes=", ".join(manifest.classes),
        tones="gray" if manifest.input.channels == 1 else "colour",
        looks=manifest.looks,
        width=manifest.input.width,
        height=manifest.input.height,
        fit=manifest.input.fit,
        scale=f" of images at {manifest.input.scale:g} of their scale" if manifest.input.scale < 1 else "",
        gs=manifest.gs,
        core=f"; in every defect a pixel passes {manifest.core_gs:g}" if manifest.core_gs is not None else "",
        dataset=origin.name,
        split=origin.split,
        images=origin.images,
        unlabelled=f", {origin.unlabelled_images} unlabelled ones at hand" if origin.unlabelled_images else "",
        held=origin.validation_images,
        licence=origin.licence,
        sha256=origin.sha256,
        preset=manifest.training.preset,
        start=manifest.training.start,
        seed=manifest.seed,
        command=manifest.training.command,
        versions=", ".join(f"{name} {number}" for name, number in manifest.versions.items()),
        scores=_score_table(manifest.scores),
        trust=CHOSEN if origin.validation_images else NOT_HELD,
        notes=_notes(manifest.notes),
    )


def add_scores(model: str | Path, part: str, scores: Mapping[str, float | None], **changes: object) -> None:
    """Write scores of a data part, such as "test", and other `changes` of the manifest into a model's file.

    Raises:
        BundleError: the model cannot be read.
        OutputError: its file cannot be written.
        UsageError: it ships with casae.
    """
    check_own(model, "scores")
    path = resolve_model(model)
    write_bundle(with_scores(read_bundle(path), part, scores, **changes), path)


def check_own(model: str | Path, what: str) -> None:
    """Whether a model's file is the user's, to be changed, and not part of the installed package.

    Raises:
        UsageError: it ships with casae.
    """
    way = "say --out FILE, or " if what.endswith("--out") else ""
    path = Path(model)
    path = (path if path.suffix == SUFFIX else resolve_model(model)).resolve()
    if path in {file.resolve() for file in shipped_models().values()}:
        raise UsageError(f"{what}: {model} is part of casae; {way}copy {path.name} and name the copy")


def with_scores(bundle: Bundle, part: str, scores: Mapping[str, float | None], **changes: object) -> Bundle:
    """The bundle with scores of a data part, and other `changes`, in its manifest and card."""
    known = bundle.manifest.scores | {part: dict(scores)}
    manifest = bundle.manifest.model_copy(update={"scores": known, **changes})
    return replace(bundle, manifest=manifest, card=write_card(manifest))


def _notes(notes: Sequence[str]) -> str:
    if not notes:
        return ""
    return "## What the training warned of\n\n" + "".join(f"- {note}\n" for note in notes) + "\n"


def _score_table(scores: dict[str, dict[str, float | None]]) -> str:
    rows = ["| part | score | value |", "| --- | --- | --- |"]
    for part, values in scores.items():
        rows += [f"| {part} | {name} | {'-' if v is None else format(v, '.4g')} |" for name, v in values.items()]
    return "\n".join(rows)
