"""The stream as Avalanche sees it: the same tasks, trainable by Avalanche's own strategies."""

from __future__ import annotations

import torch

from cl_bench.benchmark import ClassIncremental
from cl_bench.benchmarks.digits import SplitDigits


def test_avalanche_has_the_same_tasks_and_trains_on_them() -> None:
    stream = SplitDigits(ClassIncremental(tasks=[4, 3, 3])).build(order_seed=1, limit=30)
    before = torch.get_rng_state()
    benchmark = stream.avalanche()
    assert torch.equal(before, torch.get_rng_state())
    seen: set[int] = set()
    for task, train, test in zip(stream.tasks, benchmark.train_stream, benchmark.test_stream, strict=True):
        seen |= set(task.classes)
        assert set(train.classes_in_this_experience) == set(task.classes)
        assert set(train.classes_seen_so_far) == seen
        x, y = train.dataset[0][:2]
        assert torch.equal(x, task.train.x[0].float() / 255)
        assert int(y) == int(task.train.y[0])
        assert list(test.dataset.targets) == stream.test[task.index].y.tolist()

    from avalanche.training.supervised import Naive

    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    strategy = Naive(
        model=net,
        optimizer=torch.optim.Adam(net.parameters(), 0.01),
        criterion=torch.nn.CrossEntropyLoss(),
        train_mb_size=32,
        train_epochs=20,
        evaluator=None,
    )
    strategy.train(benchmark.train_stream[0])
    test = stream.test[0]
    right = (net(test.x.float() / 255).argmax(1) == test.y).float().mean()
    assert right > 0.9
