"""One training step: images a second, the share of this machine's matrix-product peak, and where the time goes.

    python benchmarks/train_step.py [--preset fast] [--size 256]

"plain" is the same cascade and batch in eager PyTorch, float32, default memory layout, every weight learning; "casae"
is what `casae train` does on this machine. Both take the joint step of network 1 and 2, one after the other, on random
images.
"""

import argparse
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from casae.networks.losses import LOSSES
from casae.networks.weights import begin
from casae.recipes import PRESETS, TrainingSettings
from casae.training import segmentation
from casae.training.device import has_bf16, keep_memory

SIDE = 4096  # of the matrices whose product is the peak


def step_of(settings: TrainingSettings, size: int, ours: bool) -> tuple[nn.Module, Callable[[], None]]:
    """A cascade and a function that takes one step with it."""
    segmenter = settings.segmenter
    casae = segmentation.build(segmenter)
    if ours:
        begin(casae, settings.start)
    else:
        casae.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # missing in its stubs
    casae.train()
    optimiser = torch.optim.AdamW([w for w in casae.parameters() if w.requires_grad], 1e-3, fused=ours)
    image = torch.rand(segmenter.batch, 1, size, size)
    image = image.contiguous(memory_format=torch.channels_last) if ours else image
    target = (torch.rand(segmenter.batch, size, size) > 0.9).float()
    criterion = LOSSES[segmenter.loss]

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=ours and has_bf16()):
            first = casae.first(image)
            loss = criterion(first, target) + criterion(casae.refine(first, image), target)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    return casae, step


def flops(network: nn.Module, step: Callable[[], object]) -> float:
    """Multiplications and additions of the convolutions in one step, only where a gradient is asked for backwards."""
    counts: list[float] = []

    def count(layer: nn.Conv2d, given: tuple[torch.Tensor], result: torch.Tensor) -> None:
        large = given[0] if isinstance(layer, nn.ConvTranspose2d) else result
        once = 2.0 * large.numel() * layer.weight[0].numel()
        counts.append(once * (1 + layer.weight.requires_grad + given[0].requires_grad))

    kinds = (nn.Conv2d, nn.ConvTranspose2d)
    hooks = [layer.register_forward_hook(count) for layer in network.modules() if isinstance(layer, kinds)]
    step()
    for hook in hooks:
        hook.remove()
    return sum(counts)


def seconds(step: Callable[[], object]) -> float:
    """Time of one call."""
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def peak(dtype: torch.dtype) -> float:
    """Multiplications and additions a second of a matrix product."""
    matrix = torch.rand(SIDE, SIDE).to(dtype)
    return 2 * SIDE**3 / min(seconds(lambda: matrix @ matrix) for _ in range(5))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="fast", choices=PRESETS)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=10)
    wanted = parser.parse_args()
    settings = PRESETS[wanted.preset]
    batch = settings.segmenter.batch
    plain = step_of(settings, wanted.size, ours=False)
    network, ours = step_of(settings, wanted.size, ours=True)
    steps = {"plain": plain[1], "casae": ours}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(wanted.steps):  # the plain loop first: what keeps freed memory cannot be taken back
        times["plain"].append(seconds(steps["plain"]))
    keep_memory()
    for _ in range(wanted.steps):
        times["casae"].append(seconds(steps["casae"]))
    best = {name: min(values) for name, values in times.items()}
    dtype = torch.bfloat16 if has_bf16() else torch.float32
    limit = peak(dtype)
    print(f"preset {wanted.preset}, {wanted.size} px, batch {batch}, {torch.get_num_threads()} threads, {dtype}\n")
    print("| loop | images/s | share of the matrix-product peak |\n| --- | --- | --- |")
    print(f"| plain | {batch / best['plain']:.3g} | |")
    share = flops(network, ours) / best["casae"] / limit
    print(f"| casae | {batch / best['casae']:.3g} | {share:.1%} of {limit / 1e9:.0f} GFLOP/s |")
    print(
        f"\ncasae is {best['plain'] / best['casae']:.2f} times the plain loop\n\n| operation | share |\n| --- | --- |"
    )
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        steps["casae"]()
    events = sorted(profiled.key_averages(), key=lambda event: -event.self_cpu_time_total)
    whole = sum(event.self_cpu_time_total for event in events)
    for event in events[:8]:
        print(f"| `{event.key}` | {event.self_cpu_time_total / whole:.0%} |")


if __name__ == "__main__":
    main()
