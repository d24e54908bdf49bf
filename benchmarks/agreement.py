"""Whether a model finds the same in another precision as in f32 on this processor, over the images of a list.

    python benchmarks/agreement.py MODEL.casae sd-saliency-900:PATH --precision int8

Masks, and the names of what f32 finds.
"""

import argparse

from casae.config import InspectionSettings
from casae.datasets.registry import open_dataset
from casae.image import to_gray
from casae.inspection.inspector import Inspector
from casae.metrics import Counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("dataset")
    parser.add_argument("--split", default="test")
    parser.add_argument("--precision", default="bf16", choices=("bf16", "int8"))
    wanted = parser.parse_args()
    exact, rounded = (
        Inspector(wanted.model, InspectionSettings(precision=precision)) for precision in ("f32", wanted.precision)
    )
    total, samples = Counts(0, 0, 0, 0), open_dataset(wanted.dataset).split(wanted.split).samples
    alike = regions = 0
    for sample in samples:
        found = exact.inspect(sample.image)
        total += Counts.of(rounded.inspect(sample.image).mask, found.mask)
        measures = [defect.measures for defect in found.defects]
        again = rounded.name_regions(to_gray(found.image), [defect.region for defect in found.defects], measures)
        alike += sum(one.or_unknown().name == each.name for one, each in zip(again, found.defects, strict=True))
        regions += len(again)
    differ = total.fp + total.fn
    print(f"{len(samples)} images, f32 and {wanted.precision}: IoU of the masks {total.iou:.4f}, ", end="")
    print(f"{differ} of {differ + total.tp + total.tn} pixels differ, {alike} of {regions} regions have the same name")


if __name__ == "__main__":
    main()
