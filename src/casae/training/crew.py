"""Several processes that train one network together, on one machine or many, as `torchrun` begins them.

The first one leads: it alone writes, scores, tells, and says when to stop. The others draw their share of each batch,
and know of its folder nothing. Each process draws other views of the same batch, so that the sum is what one process
would have seen; statistics of batch normalisation are those of a share.
"""

import functools
import os
from datetime import timedelta
from typing import TypeVar

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision, Precision
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor, nn

from casae.errors import UsageError
from casae.training.device import device_of, has_bf16

PATIENCE = timedelta(hours=6)  # the others wait while the first one scores
Agreed = TypeVar("Agreed")


class HelpedError(Exception):
    """Said in a process that has helped to train: the first one has the model."""


def count() -> int:
    """How many processes train together; 1 without `torchrun`."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """The place of this process among them; 0 leads."""
    return int(os.environ.get("RANK", "0"))


def leads() -> bool:
    """Whether this process writes and tells."""
    return rank() == 0


def share_of(batch: int) -> int:
    """Images of a batch that each process sees.

    Raises:
        UsageError: it cannot be shared.
    """
    if batch % count():
        raise UsageError(f"{count()} processes cannot share batches of {batch} images; take a divisor, or set batch")
    return batch // count()


def fabric_on(device: torch.device) -> Fabric:
    """What computes on a device, in bfloat16 where it has that, and knows the other processes."""
    if count() > 1:
        return _together_on(device)
    return Fabric(accelerator=device.type, devices=1, plugins=_precision(device))


def _precision(device: torch.device) -> Precision:
    """As a plugin: by its name it would print a line."""
    return MixedPrecision("bf16-mixed", device.type) if has_bf16(device) else Precision()


@functools.cache  # processes meet once
def _together_on(device: torch.device) -> Fabric:
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    backend = "nccl" if device.type == "cuda" else "gloo"
    together = DDPStrategy(process_group_backend=backend, timeout=PATIENCE)
    fabric = Fabric(
        accelerator=device.type, strategy=together, devices=here, num_nodes=count() // here, plugins=_precision(device)
    )
    fabric.launch()
    return fabric


def agreed(fabric: Fabric, value: Agreed) -> Agreed:
    """What the first process says."""
    return value if count() == 1 else fabric.broadcast(value)


def meet(device: str) -> None:
    """Wait for all processes."""
    if count() > 1:
        fabric_on(device_of(device)).barrier()


def same_weights(fabric: Fabric, network: nn.Module) -> None:
    """Give all processes the weights and statistics of the first one."""
    if count() > 1:
        state = fabric.broadcast({name: value.cpu() for name, value in network.state_dict().items()})
        network.load_state_dict(state)


def mean_gradients(fabric: Fabric, network: nn.Module) -> None:
    """Bring the gradients of all processes to their mean, in one message."""
    if count() == 1:
        return
    gradients = [weight.grad for weight in network.parameters() if weight.grad is not None]
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    reduced = fabric.all_reduce(flat, reduce_op="mean")
    assert isinstance(reduced, Tensor)
    place = 0
    for gradient in gradients:
        gradient.copy_(reduced[place : place + gradient.numel()].view_as(gradient))
        place += gradient.numel()
