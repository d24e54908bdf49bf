"""Time of one augmented view: our single OpenCV remap beside kornia's modules. Needs `pip install 'casae[bench]'`.

Prints milliseconds an image (batch of 8, 256 x 256) and their ratio, alternating between both in one run.
"""

import time
from statistics import median

import kornia.augmentation as ka
import numpy as np
import torch

from casae.training.augmentation import Augmentation

SIZE, BATCH, ROUNDS = 256, 8, 12


def ours(images: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> None:
    augmentation = Augmentation()
    for image, label in zip(images, labels, strict=True):
        augmentation(image, label, rng)


def kornias() -> ka.AugmentationSequential:
    return ka.AugmentationSequential(
        ka.RandomHorizontalFlip(),
        ka.RandomAffine(180, (0.1, 0.1), (0.77, 1.3), (-6, 6), p=1, padding_mode="reflection"),
        ka.RandomElasticTransform((63, 63), (32, 32), (1, 1), p=1, padding_mode="reflection"),
        ka.RandomBrightness((0.9, 1.1), p=1),
        ka.RandomGamma((0.78, 1.28), (0.75, 1.25), p=1),
        ka.RandomGaussianBlur((5, 5), (0.3, 1.2), p=0.15),
        ka.RandomGaussianNoise(0, 0.01, p=1),
        data_keys=["input", "mask"],
    )


def main() -> None:
    rng = np.random.default_rng(0)
    images = rng.random((BATCH, SIZE, SIZE), np.float32)
    labels = (images > 0.9).astype(np.uint8)
    pair = torch.from_numpy(images)[:, None], torch.from_numpy(labels.astype(np.float32))[:, None]
    sequence = kornias()
    times: dict[str, list[float]] = {"casae": [], "kornia": []}
    for _ in range(ROUNDS):
        for name, run in (("casae", lambda: ours(images, labels, rng)), ("kornia", lambda: sequence(*pair))):
            began = time.perf_counter()
            run()
            times[name].append((time.perf_counter() - began) / BATCH * 1e3)
    middle = {name: median(values[2:]) for name, values in times.items()}
    for name, value in middle.items():
        print(f"{name:<8}{value:8.2f} ms an image")
    print(f"kornia / casae = {middle['kornia'] / middle['casae']:.1f}")


if __name__ == "__main__":
    main()
