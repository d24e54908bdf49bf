"""A judged model: train, choose thresholds on what is held out, measure, write the page that shows how good it is."""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import get_args

from casae.config import InspectionSettings, Looks
from casae.datasets.sample import Dataset, Sample
from casae.errors import UsageError
from casae.evaluation.looks import Looking, check_looks, most_within, try_looks
from casae.evaluation.page import Training, write_page
from casae.evaluation.scores import Evaluation, evaluate
from casae.evaluation.thresholds import Cost, check_target, choose, cost_curve
from casae.evaluation.uses import Use
from casae.inspection.inspector import Inspector
from casae.labelled.holdout import Fold, has_own_list, hold_out
from casae.models.bundle import read_bundle
from casae.models.card import add_scores
from casae.recipes import IMAGENET, SCRATCH, TrainingSettings
from casae.training import crew
from casae.training.budget import Budget
from casae.training.folds import Job, at_once
from casae.training.plan import Note
from casae.training.progress import Reporter
from casae.training.state import check_folds
from casae.training.stop import Stop
from casae.training.train import Trained, train
from casae.training.unlabelled import unlabelled_images

Scores = Mapping[str, float | None]


@dataclass(frozen=True)
class FoldScore:
    """A score at the chosen thresholds, judged on other images than were learned from: of each fold."""

    each: Sequence[float]

    @property
    def mean(self) -> float:
        """Over folds."""
        return statistics.mean(self.each)

    @property
    def spread(self) -> float:
        """Standard deviation over folds."""
        return statistics.stdev(self.each)


@dataclass(frozen=True)
class JudgedModel:
    """What `train_and_judge` made.

    Attributes:
        trained: the model, what it found, the images that were held out.
        chosen: what its thresholds cost on the held-out images; None where nothing was held out.
        why: these thresholds.
        result: scores on the held-out images; None where there are none.
        page: that shows them; None where there are none.
        folds: score by name, where there were folds.
        uses: what the model was shown to be good enough for; none where nothing was held out.
        looks: what more looks at each picture bring and take, one look first; none where nothing was held out.
        looks_why: how many it takes, and why.
    """

    trained: Trained
    chosen: Cost | None = None
    why: str = ""
    result: Evaluation | None = None
    page: Path | None = None
    folds: Mapping[str, FoldScore] = field(default_factory=dict)
    uses: Sequence[Use] = ()
    looks: Sequence[Looking] = ()
    looks_why: str = ""

    @property
    def file(self) -> Path:
        """The model."""
        return self.trained.file

    @property
    def notes(self) -> tuple[Note, ...]:
        """What the training found."""
        return self.trained.notes


def train_and_judge(
    dataset: Dataset,
    out: Path,
    settings: TrainingSettings,
    *,
    split: str | None = None,
    target: str | None = None,
    folds: int = 0,
    unlabelled: Path | None = None,
    resume: bool = False,
    command: str = "",
    reporter: Reporter | None = None,
    stop: Stop | None = None,
    device: str = "auto",
    ray: str | None = None,
    cores: int = 1,
    looks: Looks | None = None,
    cycle_ms: float | None = None,
) -> JudgedModel:
    """Train a model and judge it; see `casae.training.train.train`.

    Args:
        dataset: all of it.
        out: model file to write.
        settings: of the training.
        split: list to learn from; None is "train" where there is such a list, else "all".
        target: how to choose the thresholds, see `casae.evaluation.thresholds.choose`.
        folds: so many models more, each judged on another part of the images; 0 for none.
        unlabelled: folder of images to learn from as well.
        resume: go on with an interrupted training.
        command: stands in the model card.
        reporter: shows how far it is.
        stop: asks it to end soon.
        device: "auto", "cpu" or "cuda".
        ray: address of a Ray cluster on which the model and its folds are trained at once; all its machines see the
            dataset and `out` under the same paths.
        cores: of each training there.
        looks: that the model takes at each picture; None is one, or what `cycle_ms` allows.
        cycle_ms: time for an inspection on this machine; the most looks that fit and do no harm are taken.

    Raises:
        MissingExtraError: Ray is not installed.
        UsageError: options that do not go together.
        DatasetError, ImageError, BundleError: see `casae.training.train.train`.
    """
    reporter = reporter or Reporter()
    check_target(target)
    check_looks(looks, cycle_ms)
    chosen_split = split or ("train" if "train" in dataset.splits else "all")
    _check_folds(dataset, chosen_split, out, settings, folds, resume)
    if ray is not None and (crew.count() > 1 or reporter.mlflow):
        raise UsageError("--ray: trains in processes of its own; leave out torchrun and --mlflow")
    if target and not (settings.hold_out_share or folds or has_own_list(dataset, chosen_split)):
        rule = "nothing is held out to choose thresholds by; drop --hold-out 0, or say --folds 5"
        raise UsageError(f"--target {target}: {rule}")
    shares = settings.hold_out_share != TrainingSettings.model_fields["hold_out_share"].default
    if shares and has_own_list(dataset, chosen_split) and not resume:
        rule = f"list 'val' of {dataset.name} is held out; rename it, or drop --hold-out"
        raise UsageError(f"--hold-out {settings.hold_out_share:g}: {rule}")

    def learn(file: Path, fold: Fold | None = None) -> Trained:
        return train(
            dataset,
            file,
            settings,
            split=chosen_split,
            resume=resume,
            fold=fold,
            unlabelled=unlabelled,
            command=command,
            reporter=reporter,
            stop=stop,
            device=device,
        )

    jobs: list[Job] = [(out, None), *((_fold_file(out, index), Fold(index, folds)) for index in range(folds))]
    if ray is None:
        trained, *of_folds = _in_turn(jobs, learn, reporter)
    else:
        there = partial(
            train, dataset, settings=settings, split=chosen_split, unlabelled=unlabelled, command=command, device=device
        )
        trained, *of_folds = at_once(jobs, there, ray, cores, resume, reporter)
    tried, why = _choose_looks(trained, looks, cycle_ms, reporter)
    models: list[tuple[Path, Dataset]] = []
    costs: list[Cost] = []
    as_chosen = InspectionSettings(looks=read_bundle(trained.file).manifest.looks)
    for of_fold in of_folds:
        models.append((of_fold.file, of_fold.validation))
        costs = cost_curve(Inspector(of_fold.file, as_chosen), of_fold.validation, costs)
    target = target or ("keep" if settings.preset == "paper" else None)
    unlabelled_samples = _without_label(dataset, chosen_split, unlabelled)
    judged = JudgedModel(trained, looks=tried, looks_why=why)
    return _judge(judged, settings, unlabelled_samples, target, models, costs, reporter)


def _choose_looks(
    trained: Trained, looks: Looks | None, cycle_ms: float | None, reporter: Reporter
) -> tuple[Sequence[Looking], str]:
    """How often the model looks at each picture goes into its file, before its thresholds are chosen."""
    held = trained.validation
    tried: Sequence[Looking] = ()
    if held.samples and not (trained.early and looks is cycle_ms is None):
        with _counted(reporter, "looks", len(get_args(Looks))) as done:
            tried = try_looks(trained.file, held, done)
    if looks is not None:
        chosen, why = looks, "as asked"
    elif cycle_ms is None:
        chosen, why = 1, "--looks or --cycle-ms asks for more"
    elif not tried:
        chosen, why = 1, "nothing is held out to measure more on"
    else:
        chosen = most_within(tried, cycle_ms)
        why = f"the most of those tried that fit into {cycle_ms:g} ms and do no harm"
        if not tried[-1].tells:
            chosen, why = (
                1,
                "too few defective pictures are held out to tell whether more do harm",
            )
        elif tried[0].milliseconds > cycle_ms:
            why = f"even one takes {tried[0].milliseconds:.0f} ms of the {cycle_ms:g} ms; see casae benchmark"
        elif chosen == 1 and any(each.harms and each.milliseconds <= cycle_ms for each in tried):
            why = "the direction in which this part lies matters: turned looks make it worse"
    if tried:
        scores = {f"iou_gain_{each.looks}": each.gain for each in tried[1:]}
        add_scores(trained.file, "looks on validation", scores, looks=chosen)
    elif chosen != 1:
        add_scores(trained.file, "looks on validation", {}, looks=chosen)
    return tried, f"{chosen}, {why}"


def _in_turn(jobs: Sequence[Job], learn: Callable[[Path, Fold | None], Trained], reporter: Reporter) -> list[Trained]:
    """The model, then its folds; where somebody ends them early, the model alone."""
    done: list[Trained] = []
    for index, (file, fold) in enumerate(jobs):
        if len(jobs) > 1:
            reporter.overall(index, len(jobs), "the model" if fold is None else f"fold {fold.index + 1}")
        done.append(learn(file, fold))
        if done[-1].early and len(jobs) > 1:
            reporter.say("Ended early: the folds are left out")
            return done[:1]
    return done


def _check_folds(dataset: Dataset, split: str, out: Path, settings: TrainingSettings, folds: int, resume: bool) -> None:
    """What cannot be cut is said now, and not when the first model is done.

    Raises:
        UsageError, DatasetError: it cannot.
    """
    if not folds:
        return
    if crew.count() > 1:
        raise UsageError("--folds: several processes train one model together; without torchrun, or with --ray")
    if folds == 1:
        raise UsageError("--folds 1: one part cannot be learned from and held out; 5 is usual")
    if settings.start not in (SCRATCH, IMAGENET):
        rule = "these weights may have learned what a fold holds out; drop one"
        raise UsageError(f"--folds with --from {settings.start}: {rule}")
    hold_out(dataset, split, 0, settings.seed, Fold(0, folds))
    check_folds(dataset.split(split), [_fold_file(out, index) for index in range(folds)], resume)


def _fold_file(out: Path, index: int) -> Path:
    return out.with_name(f"{out.stem}-fold-{index + 1}.casae")


def _without_label(dataset: Dataset, split: str, unlabelled: Path | None) -> list[Sample]:
    """Images that could be labelled next: of the dataset, and of the folder of unlabelled ones."""
    judged = set(dataset.splits.get("test", ()))
    found = [sample for sample in dataset.samples if not sample.labelled and sample.name not in judged]
    if unlabelled:
        known = {sample.image.resolve() for sample in found}
        more = unlabelled_images(unlabelled, dataset, split, seed=0)
        found += [Sample(file.stem, file) for file in more if file.resolve() not in known]
    return found


def _judge(
    begun: JudgedModel,
    settings: TrainingSettings,
    unlabelled: Sequence[Sample],
    target: str | None,
    models: Sequence[tuple[Path, Dataset]],
    costs: Sequence[Cost],
    reporter: Reporter,
) -> JudgedModel:
    """Choose the thresholds on the held-out images, and write the page that shows how good the model is on them.

    They are chosen by the folds where there are any. Where nothing is held out, there is no page, and without folds the
    thresholds stay the usual ones.
    """
    trained = begun.trained
    held = trained.validation
    if not held.samples and not costs:
        return begun
    fresh = Inspector(trained.file)
    if not costs:
        with _counted(reporter, "thresholds", len(held.samples)) as done:
            costs = cost_curve(fresh, held, done=done)
        part = "validation"
    else:
        part = "all folds"
    chosen, why = choose(costs, target, fresh.manifest.core_gs)
    folds = _fold_scores(models, chosen, fresh.manifest.looks)
    titled = _titled(folds, len(models))
    for title, scores in titled.items():
        add_scores(trained.file, title, scores)
    add_scores(trained.file, f"{part}, at Gs", chosen.summary(), gs=chosen.gs, core_gs=chosen.core_gs)
    if not held.samples:
        return replace(begun, chosen=chosen, why=why, folds=folds)
    inspector = Inspector(trained.file)
    with _counted(reporter, "judging", len(held.samples)) as done:
        result = evaluate(inspector, held, lambda score: done())
    page = trained.file.with_suffix(".html")
    minutes = trained.seconds / 60
    warnings = tuple(note.text for note in trained.notes if note.kind == "warning")
    again = trained.seen & {sample.name for sample in held.samples}
    shown = Training(
        inspector,
        held,
        result,
        costs,
        chosen,
        why,
        trained.folder,
        minutes,
        titled,
        warnings,
        known=len(again),
        looks=begun.looks,
        looks_why=begun.looks_why,
        always_by_score=not settings.segmenter.one_cycle,
    )
    write_page(page, shown, unlabelled)
    return replace(begun, chosen=chosen, why=why, result=result, page=page, folds=folds, uses=shown.uses)


def _fold_scores(models: Sequence[tuple[Path, Dataset]], chosen: Cost, looks: Looks) -> dict[str, FoldScore]:
    """How much a score at the chosen thresholds depends on which images are learned from, by its name."""
    settings = InspectionSettings(gs=chosen.gs, core_gs=chosen.core_gs, looks=looks)
    rows = [evaluate(Inspector(file, settings), held).scores() for file, held in models]
    known: dict[str, list[float]] = {}
    for name, score in chain.from_iterable(row.items() for row in rows):
        if score.value is not None:
            known.setdefault(name, []).append(score.value)
    return {name: FoldScore(values) for name, values in known.items() if len(values) > 1}


def _titled(folds: Mapping[str, FoldScore], count: int) -> dict[str, Scores]:
    """Mean and spread over folds, as card and page have them."""
    if not folds:
        return {}
    means = {name: score.mean for name, score in folds.items()}
    spreads = {name: score.spread for name, score in folds.items()}
    return {f"mean of {count} folds": means, f"spread of {count} folds": spreads}


@contextmanager
def _counted(reporter: Reporter, title: str, total: int) -> Iterator[Callable[[], None]]:
    """A line of the reporter that counts images."""
    reporter.stage(title)
    budget = Budget(steps=total)

    def done() -> None:
        budget.advance()
        reporter.step(budget)

    yield done
