"""The simulated device refuses what CUDA refuses, and computes what the CPU computes."""

from __future__ import annotations

import pytest
import torch
from simulated_device import DEVICE, simulated
from torch import nn

pytestmark = pytest.mark.simulated


def test_devices_do_not_mix() -> None:
    with simulated():
        there = torch.arange(6.0).view(2, 3).to(DEVICE)
        assert there.device == DEVICE
        with pytest.raises(RuntimeError, match="tensors on"):
            there + torch.ones(2, 3)
        with pytest.raises(RuntimeError, match="tensors on"):
            torch.cat([there, torch.ones(1, 3)])
        with pytest.raises((RuntimeError, TypeError), match="numpy"):
            there.numpy()
        # A CPU scalar may go with it, and a CPU index choose from it, as on CUDA.
        assert (there * torch.tensor(2.0))[torch.tensor([1])].tolist() == [[6, 8, 10]]


def test_values_are_the_cpus_and_memory_is_its_own() -> None:
    here = torch.arange(6.0).view(2, 3)
    with simulated() as device:
        there = here.to(DEVICE)
        there[:, 1] += 10
        there.t()[0].zero_()
        assert device.operations > 0
        assert there.cpu().tolist() == [[0, 11, 2], [0, 14, 5]]
        assert torch.tensor([[1, 2]], device=DEVICE).device == torch.arange(2, device=DEVICE).device == DEVICE
        assert torch.zeros(2, device=DEVICE).add_(1).sum().item() == 2
    assert here.flatten().tolist() == [0, 1, 2, 3, 4, 5]


def test_a_network_trains_there_as_on_the_cpu() -> None:
    def trained(device: torch.device) -> list[float]:
        torch.manual_seed(0)
        net, x = nn.Linear(3, 1).to(device), torch.randn(8, 3).to(device)
        optimiser = torch.optim.Adam(net.parameters(), 0.1)
        for _ in range(3):
            optimiser.zero_grad()
            net(x).square().mean().backward()
            optimiser.step()
        return [w for parameter in net.parameters() for w in parameter.detach().cpu().flatten().tolist()]

    with simulated():
        there = trained(DEVICE)
    assert there == trained(torch.device("cpu"))
