"""Do the kernels stand many threads, forked workers and long use: same bits, no leak?"""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

import selfnorm
from benchmarks._harness import Row, main

THREADS, P = 8, 0.3
SIZES = (5, 512, 3_000, 40_000)


def measure(quick: bool) -> Iterator[Row]:
    """One row for each kind of stress."""
    calls = 2_000 if quick else 100_000
    yield many_threads("forward", forward, calls)
    yield many_threads("forward + backward", both_ways, calls)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield many_threads("forward + backward, torch.set_num_threads(1)", both_ways, calls)
    torch.set_num_threads(before)
    yield forked_workers(calls // 100)


def forward(x: Tensor, seed: int) -> Tensor:
    """The fused operation with a mask that the seed decides."""
    generator = torch.Generator().manual_seed(seed)
    return selfnorm.selu_alpha_dropout(x.detach(), P, training=True, generator=generator)


def both_ways(x: Tensor, seed: int) -> Tensor:
    """Its gradient."""
    generator = torch.Generator().manual_seed(seed)
    z = selfnorm.selu_alpha_dropout(x, P, training=True, generator=generator)
    return torch.autograd.grad(z.sum(), x)[0]


def many_threads(what: str, function: Callable[[Tensor, int], Tensor], calls: int) -> Row:
    """Eight Python threads at once, every result compared bit by bit."""
    inputs = [torch.randn(size).requires_grad_() for size in SIZES]
    cases = [(x, seed) for x in inputs for seed in range(5)]
    expected = [function(x, seed) for x, seed in cases]
    wrong: list[str] = []

    def work(calls: int) -> None:
        for call in range(calls):
            number = call % len(cases)
            try:
                if not torch.equal(function(*cases[number]), expected[number]):
                    wrong.append("bits differ")
            except Exception as error:
                wrong.append(repr(error))

    def run(calls: int) -> None:
        threads = [threading.Thread(target=work, args=(calls,)) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    run(max(200, calls // (10 * THREADS)))  # allocators and thread stacks settle
    before = resident()
    run(calls // THREADS)
    grown = resident() - before
    if grown > 32:
        wrong.append(f"resident memory grew by {grown:.0f} MiB")
    return Row(
        f"{calls:,} calls from {THREADS} threads, {what}",
        "must be equal and flat",
        "same bits" if not wrong else "differs",
        f"{grown:+.1f} MiB of {before:.0f} MiB resident",
        wrong="; ".join(sorted(set(wrong))),
    )


class _Masked(Dataset[Tensor]):
    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Tensor:
        return forward(torch.full((40_000,), 0.5), index)


def forked_workers(count: int) -> Row:
    """Workers forked from a process whose thread pool has run, against that process."""
    forward(torch.zeros(1 << 20), 0)
    loader = DataLoader(
        _Masked(count), batch_size=None, num_workers=2, multiprocessing_context="fork"
    )
    here = _Masked(count)
    same = all(torch.equal(item, here[index]) for index, item in enumerate(loader))
    return Row(
        f"{count:,} calls in two forked DataLoader workers",
        "must be equal",
        "same bits" if same else "differs",
        "",
        wrong="" if same else "bits differ",
    )


def resident() -> float:
    """Resident memory of this process in MiB; 0 where there is no /proc."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main("stress", measure)
