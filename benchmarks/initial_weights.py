"""Do the paper's initial weights, N(0, 0.001), let the compact CNN learn? Watches how far the crops differ for it.

    python benchmarks/initial_weights.py sd-saliency-900:PATH --iterations 3000

Crops, recipe and seed are those of row "compact CNN, the paper's recipe" of `casae reproduce table4`, in single
precision. The loss of one who knows only how frequent each class is, is printed first: a network that learned nothing
else stays there.
"""

import argparse
import itertools

import numpy as np
import torch
from lightning_fabric import seed_everything

from casae.config import MIN_AREA_PX
from casae.datasets.registry import open_dataset
from casae.inspection.classification import classifier_input
from casae.labelled.defects import labelled_crops
from casae.labelled.images import load
from casae.reproduction.table4 import RECIPES, halved
from casae.training import classification
from casae.training.budget import Budget
from casae.training.views import CropViews, loader

LOOKED_AT = 48  # crops whose logits are compared


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("--iterations", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    dataset, settings = open_dataset(wanted.dataset), RECIPES["cnn-paper"]
    classes = len(dataset.classes)
    by_image = [labelled_crops([image], classes, MIN_AREA_PX) for image in load(dataset)]
    learned = halved(by_image, wanted.seed).learned
    share = np.bincount([crop.defect_class for crop in learned], minlength=classes) / len(learned)
    print(f"knowing the classes' shares alone: loss {-(share * np.log(share)).sum():.4f}")

    seed_everything(wanted.seed, verbose=False)
    network = classification.build(settings, classes)
    task = classification.ClassificationTask(network, settings, Budget(wanted.iterations), learned, learned, classes)
    optimiser = task.optimiser()
    seen = [classifier_input(c.gray, c.rectangle) for c in learned[:: max(1, len(learned) // LOOKED_AT)][:LOOKED_AT]]
    crops = torch.from_numpy(np.stack(seen)[:, None])
    start = {name: value.detach().clone() for name, value in network.named_parameters() if name.endswith("weight")}
    losses: list[float] = []
    print(
        "iteration  loss of the last tenth  spread of logits over crops  largest relative change of a layer's weights"
    )
    views = CropViews(learned, max(len(learned), 10 * settings.batch), wanted.seed)
    endless = itertools.chain.from_iterable(itertools.repeat(loader(views, settings.batch)))
    for iteration, batch in zip(range(wanted.iterations + 1), endless, strict=False):
        if iteration % max(1, wanted.iterations // 10) == 0:
            moved = max(_change(network, start, name) for name in start if start[name].ndim > 1)
            loss = np.mean(losses or [np.nan])
            print(f"{iteration:9d}  {loss:.4f}  {_spread(network, crops):.2e}  {moved:.2e}", flush=True)
            losses = []
        optimiser.zero_grad()
        now = task.loss(batch)
        now.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        losses.append(float(now.detach()))


def _spread(network: torch.nn.Module, crops: torch.Tensor) -> float:
    network.eval()
    with torch.inference_mode():
        logits = network(crops).double()
    network.train()
    return float(logits.std(0).max())


def _change(network: torch.nn.Module, start: dict[str, torch.Tensor], name: str) -> float:
    now = network.get_parameter(name).detach()
    return ((now - start[name]).norm() / start[name].norm()).item()


if __name__ == "__main__":
    main()
