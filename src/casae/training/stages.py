"""The networks of one training, one after the other: network 1, a student where unlabelled images are at hand, both."""

import json
from pathlib import Path
from typing import Literal

import torch

from casae.files import write_whole
from casae.image import Image
from casae.inspection.grain import Fingerprints
from casae.metrics import iou_gain
from casae.networks.cascade import CASAE
from casae.networks.weights import begin
from casae.recipes import ENOUGH_DEFECTIVE
from casae.training import crew, segmentation
from casae.training.augmentation import AUGMENTATIONS
from casae.training.budget import Budget
from casae.training.curves import steps_of
from casae.training.device import device_of
from casae.training.loop import BEST, DONE, fit
from casae.training.plan import SAID, Note, Run, Stage
from casae.training.state import learned_by, read_weights, write_learned
from casae.training.unlabelled import pseudo_labelled
from casae.training.views import AlternatingViews, SegmenterViews, loader

DECIDED = "decided.json"  # in the student's folder
UNLABELLED = "unlabelled"  # beside it stands what was learned of such images
LABELLING_SHARE = 0.1  # of the stage that follows, at most and beside it: what network 1 says of unlabelled images
FEW_VIEWS = 1000  # docs/results/log.md, "Longer": below, a model is far from what its labels allow


class SegmenterTraining:
    """Trains a cascade by the stages of a run.

    Args:
        run: what is learned from, and for how long.
        casae: with its start weights; learns.
        start: what these are, for a student that begins with them as well.
    """

    def __init__(self, run: Run, casae: CASAE, start: str) -> None:
        self.run, self.casae, self.start = run, casae, start
        self.settings = run.settings.segmenter
        self.notes: list[Note] = []
        self._drawn = segmentation.views_of(run.images, run.size, self.settings, run.settings.seed, run.min_area_px)
        self._looked_at: list[Image] = []
        self._scoring_seconds: float | None = None

    def learn(self) -> tuple[float | None, float | None]:
        """IoU of network 1 and of the cascade on what is held out; `notes` says what was found meanwhile."""
        run, views = self.run, self._views(1)
        first = self._fit(self.casae, "network 1", views)
        seen = steps_of(run.folder / folder_of("network 1")) * self.settings.batch
        if seen < FEW_VIEWS:
            few = f"Network 1 saw {seen:,} views only and has hardly begun to learn: give it more minutes"
            self._say("warning", few)
        views, pseudo = self._views(2), None
        if run.has_student:
            first, pseudo = self._taught(first)
        elif run.unlabelled:
            pseudo = self._pseudo_labelled()
        if pseudo is not None:
            write_learned(run.folder / UNLABELLED, Fingerprints.of(self._looked_at))
            views = AlternatingViews(views, pseudo.augmented(AUGMENTATIONS[self.settings.augmentation], 2))
        return first, self._fit(self.casae, "network 2", views, first)

    @property
    def learned(self) -> Fingerprints:
        """Pictures that were learned from so far, without those of the start weights."""
        labelled = Fingerprints.of(image.gray for image in self.run.images)
        return labelled.joined(learned_by(self.run.folder / UNLABELLED))

    def _views(self, stage: int) -> SegmenterViews:
        return self._drawn.augmented(AUGMENTATIONS[self.settings.augmentation], stage)

    def _fit(
        self,
        casae: CASAE,
        stage: Stage,
        views: SegmenterViews,
        first: float | None = None,
    ) -> float | None:
        """Train for the time of a stage; network 2 begins with the score of the first."""
        run, settings = self.run, self.settings
        number = 2 if stage == "network 2" else 1
        patient = run.stop.patient
        # Without `residual`, an untrained network 2 spoils the mask: Ctrl-C must not end the first stage early.
        run.stop.patient = patient and (number == 2 or settings.residual)
        run.reporter.stage(stage)
        budget = run.budget(stage, len(views))
        task = segmentation.SegmentationTask(casae, number, settings, budget, run.validation, run.size)
        task.scoring_seconds = self._scoring_seconds
        if number == 2 and settings.residual:  # network 2 begins with adding nothing
            task.start_score = first
        folder = run.folder / folder_of(stage)
        score = fit(task, loader(views, settings.batch), folder, run.reporter, run.stop, run.device)
        self._scoring_seconds, run.stop.patient = task.scoring_seconds, patient
        return score

    def _say(self, kind: Literal["info", "warning"], text: str) -> None:
        self.notes.append(Note(kind, text))
        self.run.reporter.say(SAID[kind] + text)

    def _taught(self, first: float | None) -> tuple[float | None, SegmenterViews | None]:
        """Let a student take the place of network 1, its teacher, unless it is worse on what is held out.

        What was decided stands in the student's folder, and holds when the training goes on after an interruption.

        Returns:
            The IoU of what is network 1 then, and views of unlabelled images that both networks learn from as well.
        """
        decided = self.run.folder / folder_of("student") / DECIDED
        pseudo = None if decided.exists() else self._learn_student(decided)
        if not decided.exists():
            return first, None
        decision = json.loads(decided.read_text("utf-8"))
        self._say("info", decision["said"])
        if not decision["kept"]:
            return first, None
        pseudo = pseudo or self._pseudo_labelled()  # by the teacher, while it is network 1
        self.casae.first.load_state_dict(read_weights(decided.with_name(BEST)))
        return decision["iou"], pseudo

    def _learn_student(self, decided: Path) -> SegmenterViews | None:
        """Train a student and write down whether it is kept; nothing is decided where somebody ends it before.

        Returns:
            Views of what it has learned from without labels.
        """
        run, pseudo = self.run, self._pseudo_labelled()
        if pseudo is None or run.stop.requested:
            return None
        torch.manual_seed(run.settings.seed + 1)  # resumed or not, it begins the same
        student = segmentation.build(self.settings, standardised=run.size.standardised, channels=run.size.channels)
        begin(student, self.start)
        iou = self._fit(student, "student", AlternatingViews(self._views(1), pseudo))
        if sum(bool(image.label.any()) for image in run.validation) >= ENOUGH_DEFECTIVE:
            gain, error = self._gain(student)
            kept = gain >= -error
            why = f"{100 * gain:+.1f} points of IoU on {len(run.validation)} held-out images"
        else:  # one that was ended early has hardly learned, and nothing would tell
            kept = not run.stop.requested
            why = f"fewer than {ENOUGH_DEFECTIVE} defective images are held out to tell whether they help"
        verb = "are learned from as well" if kept else "are not learned from"
        said = f"The unlabelled images {verb}: {why}"
        write_whole(decided, json.dumps({"kept": kept, "iou": iou, "said": said}), "free space, and --resume")
        return pseudo

    def _pseudo_labelled(self) -> SegmenterViews | None:
        """Views of unlabelled images with what network 1 says of them; None where none are left to be learned from."""
        run = self.run
        if (run.folder / folder_of("network 2") / DONE).exists():
            return None
        run.reporter.stage("unlabelled")
        seconds = run.budget("student" if run.has_student else "network 2", 1).seconds
        with run.stop.on_interrupt(), crew.fabric_on(device_of("cpu")).autocast():
            found = pseudo_labelled(
                self.casae.first,
                run.unlabelled,
                run.size,
                run.reporter,
                run.stop,
                seconds and LABELLING_SHARE * seconds,
                run.white or 1.0,
            )
        if not found:
            return None
        self._looked_at = [image.gray for image in found]
        run.reporter.say(f"{len(found)} of {len(run.unlabelled)} unlabelled images are looked at")
        views = segmentation.views_of(found, run.size, self.settings, run.settings.seed, run.min_area_px)
        return views.evenly().augmented(AUGMENTATIONS[self.settings.augmentation])

    def _gain(self, student: CASAE) -> tuple[float, float]:
        """IoU of a student less that of its teacher on what is held out, and its standard error."""
        scored = []
        for casae in (self.casae, student):
            task = segmentation.SegmentationTask(casae, 1, self.settings, Budget(), self.run.validation, self.run.size)
            with torch.inference_mode(), crew.fabric_on(device_of("cpu")).autocast():
                scored.append(task.eval().counts())
        return iou_gain(*scored)


def folder_of(stage: Stage) -> str:
    """Of a stage, in that of the training."""
    return stage.replace(" ", "-")
