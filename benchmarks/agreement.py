"""Whether a model draws the same masks in another precision on this processor, over the images of a list.

    python benchmarks/agreement.py MODEL.casae sd-saliency-900:PATH --split test

A model's int8 form, which inspections prefer, is left aside.
"""

import argparse

from casae.config import InspectionSettings
from casae.datasets.readers import open_dataset
from casae.inspection.inspector import Inspector
from casae.metrics import Counts

PRECISIONS = ("f32", "bf16")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("dataset")
    parser.add_argument("--split", default="test")
    wanted = parser.parse_args()
    exact, rounded = (Inspector(wanted.model, InspectionSettings(precision=precision)) for precision in PRECISIONS)
    total, samples = Counts(0, 0, 0, 0), open_dataset(wanted.dataset).split(wanted.split).samples
    for sample in samples:
        total += Counts.of(rounded.inspect(sample.image).mask, exact.inspect(sample.image).mask)
    differ = total.fp + total.fn
    print(f"{len(samples)} images: IoU of the masks of {' and '.join(PRECISIONS)} {total.iou:.4f}, ", end="")
    print(f"{differ} of {differ + total.tp + total.tn} pixels differ")


if __name__ == "__main__":
    main()
