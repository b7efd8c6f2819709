"""Reinforcement learning: a policy of eight plain layers solves gymnasium's CartPole.

What one learns: there are no data before, so `nn.Standardize(running=True)` standardizes by what
has been observed on the way, and a deep policy needs no other care: proximal policy optimization
(Schulman et al. 2017) solves CartPole-v1, 475 of 500 steps on average over 100 episodes, which is
gymnasium's own threshold. Here self-normalization is no condition: ReLU and LayerNorm solve it,
too. An audit shows what is particular: a policy that has learned sees other states than it counted.
`--output FOLDER` draws how long the pole stands.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill

import gymnasium
import numpy as np
import torch
from torch import Tensor, nn

import selfnorm
from selfnorm import plots

DEPTH, WIDTH, POLES, STEPS, DISCOUNT, TRACE = 8, 64, 16, 128, 0.99, 0.95
NETWORKS = ("SELU, kept orthogonal", "ReLU + He", "ReLU + LayerNorm")
MEASURE = "mean return of 100 episodes"


@dataclass(frozen=True)
class Trained:
    """A policy's mean return over 100 episodes, that of each tenth update, and an audit."""

    name: str
    score: float
    returns: list[float]
    report: selfnorm.auditing.Report

    @property
    def variances(self) -> list[float]:
        """Of each layer's activations."""
        return [layer.variance for layer in self.report.layers if layer.role == "activation"]


def network(name: str) -> nn.Sequential:
    """Four numbers in; the logits of two pushes, and the value of the state, out."""
    if "SELU" in name:
        body = selfnorm.nn.MLP(4, 3, width=WIDTH, depth=DEPTH, weights="orthogonal")
    else:
        layers: list[nn.Module] = []
        for fan_in in (4, *(WIDTH,) * (DEPTH - 1)):
            layers.append(nn.Linear(fan_in, WIDTH))
            nn.init.kaiming_normal_(layers[-1].weight, nonlinearity="relu")
            nn.init.zeros_(layers[-1].bias)
            layers += [nn.LayerNorm(WIDTH), nn.ReLU()] if "Norm" in name else [nn.ReLU()]
        body = nn.Sequential(*layers, nn.Linear(WIDTH, 3))
    return nn.Sequential(selfnorm.nn.Standardize(4, running=True), body)


def poles(count: int) -> gymnasium.vector.VectorEnv:
    """Gymnasium's own CartPole-v1, many at a time."""
    return gymnasium.make_vec("CartPole-v1", count, vectorization_mode="vector_entry_point")


@torch.no_grad()
def evaluate(model: nn.Module) -> float:
    """The mean return of 100 episodes, with the likelier push."""
    environment, returns, standing = poles(100), np.zeros(100), np.ones(100, bool)
    state, _ = environment.reset(seed=12345)
    while standing.any():
        push = model(torch.as_tensor(state))[:, :2].argmax(1)
        state, reward, fallen, late, _ = environment.step(push.numpy())
        returns += reward * standing
        standing &= ~(fallen | late)
    return float(returns.mean())


@torch.no_grad()
def play(model: nn.Module, environment: gymnasium.vector.VectorEnv, begin: tuple) -> tuple:
    """Some steps of all poles: states, pushes, their likelihoods, advantages, returns; the end."""
    state, over = begin
    seen: list[tuple[Tensor, ...]] = []
    for _ in range(STEPS):
        output = model(torch.as_tensor(state))
        likelihood = output[:, :2].log_softmax(-1)
        push = torch.multinomial(likelihood.exp(), 1)
        valid = torch.as_tensor(~over)  # the step behind an end only starts anew
        before = torch.as_tensor(state)
        state, reward, fallen, late, _ = environment.step(push[:, 0].numpy())
        over = fallen | late
        chosen = likelihood.gather(1, push)[:, 0]
        goes_on = torch.as_tensor(~over).float()
        gained = torch.as_tensor(reward).float() / 10  # so that values are of order 1
        seen.append((before, push[:, 0], chosen, output[:, 2], gained, goes_on, valid))
    states, pushes, chosen, values, rewards, goes_on, valid = map(torch.stack, zip(*seen))  # noqa: B905
    following = torch.cat([values[1:], model(torch.as_tensor(state))[None, :, 2]])
    surprise = rewards + DISCOUNT * following * goes_on - values
    advantages, ahead = torch.zeros_like(values), torch.zeros(POLES)
    for step in reversed(range(STEPS)):
        ahead = surprise[step] + DISCOUNT * TRACE * goes_on[step] * ahead
        advantages[step] = ahead
    parts = (states, pushes, chosen, advantages, advantages + values)
    return tuple(part[valid] for part in parts), (state, over)


def improve(model: nn.Module, optimizer: torch.optim.Optimizer, played: tuple) -> None:
    """Four epochs of clipped steps."""
    states, pushes, chosen, advantages, returns = played
    advantages = (advantages - advantages.mean()) / advantages.std()
    for _ in range(4):
        for rows in torch.randperm(len(states)).split(256):
            output = model(states[rows])
            likelihood = output[:, :2].log_softmax(-1)
            now = likelihood.gather(1, pushes[rows, None])[:, 0]
            ratio, gain = (now - chosen[rows]).exp(), advantages[rows]
            better = torch.minimum(ratio * gain, ratio.clamp(0.8, 1.2) * gain).mean()
            entropy = -(likelihood.exp() * likelihood).sum(1).mean()
            miss = (output[:, 2] - returns[rows]).square().mean()
            optimizer.zero_grad()
            (0.5 * miss - better - 0.01 * entropy).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()


def train(name: str, updates: int, seed: int) -> Trained:
    """Play and improve in turns, with a rate that falls to 0."""
    torch.manual_seed(seed)
    model = network(name).eval()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, eps=1e-5)
    if "SELU" in name:
        selfnorm.optim.keep_orthogonal(optimizer, model)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, updates)
    environment = poles(POLES)
    at = environment.reset(seed=seed)[0], np.zeros(POLES, bool)
    returns = []
    for update in range(updates):
        played, at = play(model, environment, at)
        model[0].train()(played[0])  # what was observed is counted once
        model.eval()
        improve(model, optimizer, played)
        schedule.step()
        if update % 4 == 3:
            returns.append(evaluate(model))
    return Trained(name, returns[-1], returns, selfnorm.audit(model, played[0][:512]))


def compare(seed: int, *, quick: bool = False) -> list[Trained]:
    """All policies, from poles that start alike; if quick, ours alone."""
    torch.set_num_threads(1)  # layers this small are no quicker on more
    return [train(name, 24 if quick else 32, seed) for name in NETWORKS[: 1 if quick else 3]]


def draw(runs: list[Trained], folder: Path) -> None:
    """How long poles stand after so many steps."""
    title = f"CartPole-v1: policies of {DEPTH} plain layers"
    layers, heading = {run.name: run.variances for run in runs}, "Mean return, solved at 475"
    figure, (panel,) = plots.layers_figure(layers, title=title, panels=[heading])
    for run in runs:
        thousands = [4 * (k + 1) * POLES * STEPS / 1000 for k in range(len(run.returns))]
        panel.plot(thousands, run.returns)
    panel.axhline(475, color="#6e6e6e", linestyle=":")
    panel.set_xlabel("thousand steps")
    plots.save(figure, folder / "cartpole.png", colors=64)
    plots.save(plots.darken(figure), folder / "cartpole-dark.png", colors=64)


def main() -> None:
    """Train, print, draw if asked to, and assert what the docstring says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="only the first network, less long")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="folder for cartpole.png, light and dark")
    asked = parser.parse_args()
    runs = compare(asked.seed, quick=asked.quick)
    print(f"CartPole-v1: policies of {DEPTH} plain layers, {POLES} poles at a time\n")
    print(f"{'':<24}{'return of 100 episodes':>24}{'variance by layer':>24}")
    for run in runs:
        ends = f"{min(run.variances):.2g} to {max(run.variances):.2g}"
        print(f"{run.name:<24}{run.score:>24.1f}{ends:>24}")
    wrong = [one.rule for one in runs[0].report.findings if one.severity != "note"]
    rules = ", ".join(wrong) or "self-normalizing"
    print("\n" + fill(f"Audit of the first, trained: {rules}", 80))
    assert runs[0].score >= 475, "gymnasium's threshold"
    print("Solved: at least 475 of 500 steps, on average over 100 episodes.")
    if asked.output:
        asked.output.mkdir(parents=True, exist_ok=True)
        draw(runs, asked.output)


if __name__ == "__main__":
    main()
