"""`casae train`: labelled images -> one bundle. Network 1, network 2, compact CNN, export, proof."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
from lightning_fabric import seed_everything
from numpy.typing import NDArray

from casae.config import CORE_GS, DEFAULT_GS
from casae.datasets.sample import Dataset
from casae.errors import UsageError
from casae.image import gray_levels, planes, resize, standardise, to_unit
from casae.inspection.classification import classifier_input
from casae.inspection.grain import Fingerprints
from casae.inspection.inspector import Inspector
from casae.labelled.defects import labelled_crops
from casae.labelled.holdout import Fold
from casae.labelled.images import brightness_of
from casae.lock import lock
from casae.models.bundle import SUFFIX, Bundle, Manifest, Origin, Recipe, SizeClasses, write_bundle
from casae.models.card import write_card
from casae.networks import export
from casae.networks.cascade import CASAE
from casae.networks.compact_cnn import CompactCNN
from casae.networks.weights import begin, write_weights
from casae.recipes import IMAGENET, SCRATCH, TrainingSettings
from casae.training import classification, crew, segmentation
from casae.training.budget import Budget
from casae.training.loop import COOL_DOWN, fit, seconds_spent
from casae.training.novelty import learn_novelty
from casae.training.plan import SAID, Note, Run, prepare
from casae.training.progress import Reporter
from casae.training.stages import SegmenterTraining
from casae.training.state import (
    FINISHED,
    claim,
    folder_of,
    goes_on,
    is_training,
    learned_by,
    started_from,
    write_learned,
)
from casae.training.stop import Stop
from casae.training.unlabelled import identity_of
from casae.training.views import loader

START = "start.pt"  # what a training started from, which may have been in the folder that it takes over
COMPARED = 8  # validation images and crops that the export is compared on


@dataclass(frozen=True)
class Trained:
    """What `train` made.

    Attributes:
        file: the bundle.
        scores: on the held-out images.
        validation: these images.
        folder: with logs and weights.
        seconds: that the three networks took, without interruptions.
        early: whether somebody asked it to stop.
        notes: what it found.
        seen: names of images that its start weights had learned.
    """

    file: Path
    scores: dict[str, float | None]
    validation: Dataset
    folder: Path
    seconds: float
    early: bool
    notes: tuple[Note, ...] = ()
    seen: frozenset[str] = frozenset()


def train(
    dataset: Dataset,
    out: Path,
    settings: TrainingSettings,
    *,
    split: str = "train",
    resume: bool = False,
    fold: Fold | None = None,
    unlabelled: Path | None = None,
    command: str = "",
    reporter: Reporter | None = None,
    stop: Stop | None = None,
    device: str = "auto",
) -> Trained:
    """Train a bundle.

    The state of the training stands in a folder beside `out`, named `NAME-training`; logs for TensorBoard and CSV stay
    there.

    Args:
        dataset: all of it; `split` chooses the part to learn from.
        out: file to write, ends in `.casae`; an earlier one becomes `NAME-before.casae`.
        split: name of a split list, or "all".
        fold: hold out this part of the split, instead of the list `val` or a drawn share.
        resume: go on with an interrupted training of the same settings and data; a finished one is only exported again.
        unlabelled: folder of images to learn from as well; see `casae.training.unlabelled`.
        command: stands in the model card.
        reporter: shows how far it is; nothing by default.
        stop: asks it to end soon; by default nobody does, and Ctrl-C is as a kill.
        device: "auto", "cpu" or "cuda".

    Raises:
        UsageError: `out` has another suffix, or an interrupted training is in the way.
        DatasetError: too few labelled images, the same picture on both sides, or a label that does not fit.
        ImageError: an image cannot be read.
        BundleError: the exported networks differ from the trained ones.
        HelpedError: of several processes this one does not lead: the model is another one's.
    """
    reporter, stop = reporter or Reporter(), stop or Stop(patient=False)
    if crew.count() > 1 and unlabelled is not None:
        raise UsageError("--unlabelled: its labels are made by one process; train without torchrun, or without it")
    if out.suffix != SUFFIX:
        raise UsageError(f"{out}: a model's file name ends in {SUFFIX}; say --out {out.with_suffix(SUFFIX)}")
    seed_everything(settings.seed, verbose=False)
    folder = folder_of(out)
    kept = folder / START  # the file that was asked for may be gone when the training goes on
    start = str(kept) if resume and kept.exists() and started_from(folder) == settings.start else settings.start
    prepared = partial(
        prepare,
        dataset,
        folder,
        settings,
        split=split,
        fold=fold,
        unlabelled=unlabelled,
        reporter=reporter,
        stop=stop,
        device=device,
    )
    known = learned_by(start)
    run, notes = prepared(known=known)
    if start != settings.start and not goes_on(folder, _identity(run), resume):  # it begins anew, from weights of now
        start, known = settings.start, learned_by(settings.start)
        run, notes = prepared(known=known)
    if settings.start not in (SCRATCH, IMAGENET) and not len(known):
        rule = f"Which pictures {Path(settings.start).name} has learned is not known: scores may be too good"
        notes.append(Note("warning", rule))
    size = run.size
    casae = segmentation.build(settings.segmenter, standardised=size.standardised, channels=size.channels)
    with _begun(run, casae, start, known, resume, kept=_earlier(out, fold)):
        return _learn(run, casae, dataset, out, command, notes, known, fold)


def _learn(
    run: Run,
    casae: CASAE,
    dataset: Dataset,
    out: Path,
    command: str,
    notes: list[Note],
    known: Fingerprints,
    fold: Fold | None,
) -> Trained:
    """The three networks one after the other, and the bundle."""
    folder, reporter, stop = run.folder, run.reporter, run.stop
    for note in notes:
        if note.kind != "plan" or fold is None:
            reporter.say(SAID[note.kind] + note.text)

    kept = folder / START
    segmenter = SegmenterTraining(run, casae, str(kept) if kept.exists() else run.settings.start)
    iou_1, iou_2 = segmenter.learn()
    notes += segmenter.notes
    if not crew.leads():
        _train_classifier(run)
        raise crew.HelpedError
    write_weights(casae, folder / "weights.pt")
    learned = known.joined(segmenter.learned)
    write_learned(folder / "weights.pt", learned)
    early = stop.requested
    network, accuracy = _train_classifier(run)
    scores = {"iou_network_1": iou_1, "iou": iou_2, "accuracy_true_crops_cnn": accuracy}
    scores |= _write(run, casae, network, scores, out, command, notes, learned)
    (folder / FINISHED).touch()
    return Trained(
        out, scores, run.held, folder, seconds_spent(folder), early or stop.requested, tuple(notes), run.seen
    )


def _earlier(out: Path, fold: Fold | None) -> Path | None:
    """The model of another training in the place of the new one, which is kept."""
    return out if fold is None and out.exists() else None


@contextmanager
def _begun(run: Run, casae: CASAE, start: str, known: Fingerprints, resume: bool, kept: Path | None) -> Iterator[None]:
    """Put start weights in and make the folder ours, and nobody else's as long as this lasts.

    What cannot be trained leaves no folder behind.

    An earlier model is copied before the first step: a training that is killed while it writes its own goes on later,
    and must not take that for the earlier one.
    """
    identity, wanted = _identity(run), run.settings.start
    if not crew.leads():  # what it goes on from comes from the process that leads
        begin(casae, start)
        crew.meet(run.device)
        yield
        return
    with lock(run.folder) if is_training(run.folder) else nullcontext():
        if goes_on(run.folder, identity, resume):
            begin(casae, start)
            crew.meet(run.device)
            yield
            return
    begin(casae, wanted)
    crew.meet(run.device)  # the others have read what may lie in the folder that is made anew
    claim(run.folder, identity)
    with lock(run.folder):
        if wanted not in (SCRATCH, IMAGENET):
            write_learned(run.folder / START, known)  # first: without it, a kill between both would let it forget
            write_weights(casae, run.folder / START)
        _keep_earlier(run, kept)
        yield


def _keep_earlier(run: Run, kept: Path | None) -> None:
    if kept is not None:
        before = kept.with_name(f"{kept.stem}-before{SUFFIX}")
        shutil.copy2(kept, before)
        run.reporter.say(f"The earlier {kept.name} is kept as {before.name}")


def _origin(run: Run) -> Origin:
    part = run.part
    reader, path = part.name.split(":", 1)
    return Origin(
        name=f"{reader}:{Path(path).name}",
        sha256=part.sha256,
        split=part.split_name,
        images=len(part.samples),
        validation_images=len(run.held.samples),
        unlabelled_images=len(run.unlabelled),
        licence=part.licence,
    )


def _write(
    run: Run,
    casae: CASAE,
    network: CompactCNN | None,
    scores: dict[str, float | None],
    out: Path,
    command: str,
    notes: Sequence[Note],
    learned: Fingerprints,
) -> dict[str, float | None]:
    """Write the bundle.

    Returns:
        How far the exported networks are from the trained ones, which is in the bundle as well.
    """
    exported = export.export_segmenter(casae, _segmenter_examples(run))
    classifier, crop_difference = _export_classifier(run, network)
    differences = {
        "export_difference_segmenter": exported.difference,
        "export_difference_classifier": crop_difference,
    }
    manifest = _manifest(run, out.stem, command, scores | differences, notes)
    bundle = Bundle(manifest, exported.onnx, classifier, write_card(manifest), learned=learned.written())
    write_bundle(bundle, out)
    images = [*run.images, *run.validation]
    order = np.random.default_rng(0).permutation(len(images))
    pictures = ((images[index].pixels, images[index].label) for index in order)
    inspector = Inspector(out)
    write_bundle(replace(bundle, novelty=learn_novelty(inspector, pictures)), out)
    return differences


def _manifest(run: Run, name: str, command: str, scores: dict[str, float | None], notes: Sequence[Note]) -> Manifest:
    settings, size = run.settings, run.size
    return Manifest(
        name=name,
        input=size,
        classes=run.classes,
        gs=DEFAULT_GS,
        core_gs=None if settings.preset == "paper" else CORE_GS,
        min_area_px=run.min_area_px,
        join_px=settings.join_px,
        mm_per_pixel=run.part.mm_per_pixel,
        calibration=run.part.calibration,
        white=run.white,
        brightness=brightness_of([*run.images, *run.validation]),
        sizes=_sizes(run),
        width=settings.segmenter.width,
        dataset=_origin(run),
        seed=settings.seed,
        training=Recipe.model_validate(settings.model_dump(mode="json") | {"command": command}),
        scores={"validation": scores},
        notes=tuple(note.text for note in notes if note.kind == "warning"),
        versions={name: version(name) for name in ("casae", "torch", "lightning-fabric", "onnx", "openvino", "numpy")},
    )


def _train_classifier(run: Run) -> tuple[CompactCNN | None, float | None]:
    settings, classes = run.settings.classifier, len(run.classes)
    if classes == 1:
        return None, None
    seed_everything(run.settings.seed, verbose=False)  # whatever came before: resumed or not, the start is the same
    network = classification.build(settings, classes, run.size.channels)
    run.reporter.stage("classifier")
    validation = labelled_crops(run.validation, classes, run.min_area_px)
    views = classification.views_of(run.crops, settings, classes, run.settings.seed)
    budget = run.budget("classifier", len(views))
    if run.stop.requested:
        run.reporter.say(f"Classes are learned for {COOL_DOWN:.0f} s more; Ctrl-C ends that as well")
        run.stop.forget()
        budget = Budget(seconds=min(COOL_DOWN, budget.seconds or COOL_DOWN))
    task = classification.ClassificationTask(network, settings, budget, run.crops, validation, classes)
    return network, fit(
        task, loader(views, settings.batch), run.folder / "classifier", run.reporter, run.stop, run.device
    )


def _sizes(run: Run) -> SizeClasses | None:
    """What sizes tell of classes; nothing in the paper's recipe."""
    if len(run.classes) == 1 or run.settings.preset == "paper":
        return None
    return classification.size_classes(run.crops, len(run.classes))


def _segmenter_examples(run: Run) -> NDArray[np.float32]:
    size = run.size
    chosen = (run.validation or run.images)[:COMPARED]
    examples = []
    for image in chosen:
        pixels = resize(image.pixels, size.height, size.width)
        values = to_unit(pixels)
        examples.append(planes(standardise(values, gray_levels(pixels)) if size.standardised else values))
    return np.stack(examples)


def _export_classifier(run: Run, network: CompactCNN | None) -> tuple[bytes | None, float | None]:
    if network is None:
        return None, None
    examples = [planes(classifier_input(crop.pixels, crop.rectangle)) for crop in run.crops[:COMPARED]]
    exported = export.export_classifier(network, np.stack(examples))
    return exported.onnx, exported.difference


def _identity(run: Run) -> dict[str, object]:
    """What decides a training."""
    identity: dict[str, object] = {
        "settings": run.settings.model_dump(mode="json"),
        "classes": run.classes,
        "input": run.size.model_dump(mode="json"),
        "training": run.part.sha256,
        "validation": run.held.sha256,
    }
    if run.unlabelled:
        identity["unlabelled"] = identity_of(run.unlabelled)
    return identity
