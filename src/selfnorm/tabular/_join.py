"""Networks of finite and of infinite width become one prediction."""

import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from selfnorm.errors import SelfNormWarning
from selfnorm.nn import MLP
from selfnorm.tabular._blend import Blend
from selfnorm.tabular._ensemble import Ensemble
from selfnorm.tabular._infinite import Fitted, InfiniteNetwork, fit_infinite
from selfnorm.tabular._kernel import LAYERS, WAVES
from selfnorm.tabular._memory import is_lack_of_memory
from selfnorm.tabular._scaled import scale
from selfnorm.tabular._weighing import sharpness, sharpness_of_all, weigh
from selfnorm.tabular.encoding._encode import Encoder
from selfnorm.tabular.encoding._target import Target
from selfnorm.training import Rows
from selfnorm.training._sections import Section
from selfnorm.training._snapshot import Snapshot


class Joined(NamedTuple):
    """An ensemble, how its networks become one prediction, and what that says of rows left out.

    Attributes:
        network: The networks.
        blend: Their weights, and how sharp they are.
        kept: Which of the trained networks are among them, as numbers from 0.
        told: One output for every row to judge by, (rows, outputs), of networks that did not learn
            from it alone; None where there are no such rows.
    """

    network: Ensemble
    blend: Blend
    kept: tuple[int, ...]
    told: Tensor | None


def joined(
    trained: Sequence[MLP],
    reading: Callable[[MLP], nn.Module],
    encoder: Encoder,
    target: Target,
    rows: Rows,
    judged: Rows | None,
    left_out: Tensor | None,
    *,
    infinite: bool,
    together: Tensor | None = None,
    section: Section | None = None,
) -> Joined:
    """Let infinitely wide networks join trained ones, and weigh all.

    What each kind says of the rows that it did not learn from decides; one that counts for nothing
    is left out, but for the first trained. Where there are no such rows, one half is for those of
    finite width.

    Args:
        trained: Trained networks of finite width, those of one shape together; their output layers
            are scaled by what rows say that they did not learn from.
        reading: What reads the inputs of such a network's rows; most often the network itself.
        encoder: Who encoded the rows.
        target: What outputs stand for.
        rows: Encoded rows with their targets, which were learned from.
        judged: Those to judge by: the same, or others; None if there are none.
        left_out: Which networks of a shape did not learn from each of these, (rows, networks).
        infinite: Whether infinitely wide networks join.
        together: A number for each row to learn from, (rows,), the same for those that stay
            together; None if each stands by itself.
        section: Where a checkpoint keeps the infinitely wide networks; None keeps none.
    """
    wide = _fitted(encoder, target, rows, together, section) if infinite else []
    if judged is None or left_out is None:
        part = 0.5 if wide else 1.0
        shares = (*(part / len(trained) for _ in trained), *(0.5 / len(wide) for _ in wide))
        sharp, honest = 1.0, None
        if target.task == "regression":
            for one in trained:
                left_out = torch.ones(len(rows), int(one.members or 1)).bool()
                scale(one, reading(one), target, rows, left_out)
    else:
        said = [scale(one, reading(one), target, judged, left_out) for one in trained]
        apart = judged is not rows
        kinds = [_said(one.network, judged) if apart else one.left_out for one in wide]
        known = tuple(part.cpu() for part in judged.known)
        shares, sharp, honest = _judged(target, said, left_out, kinds, known)
    kept = [at for at in range(len(trained)) if shares[at] or not at]
    counting = [at for at in range(len(wide)) if shares[len(trained) + at]]
    weights: list[float] = []
    for at in kept:
        members = int(trained[at].members or 1)
        weights += [shares[at] / members] * members
    weights += [shares[len(trained) + at] for at in counting]
    ensemble = Ensemble([trained[at] for at in kept], [wide[at].network for at in counting])
    return Joined(ensemble.eval(), Blend(tuple(weights), sharp), tuple(kept), honest)


def _said(network: InfiniteNetwork, judged: Rows) -> Tensor:
    """What an infinitely wide network says of rows, for all that follows on CPU."""
    return network(judged.inputs).double().cpu()


def _judged(
    target: Target,
    said: Sequence[tuple[Tensor, Tensor]],
    left_out: Tensor,
    wide: list[Tensor],
    known: tuple[Tensor, ...],
) -> tuple[tuple[float, ...], float, Tensor]:
    """Shares of the kinds, the sharpness of all, and what rows are told by who left them out.

    Of what networks of finite width say there are two: `scale` makes them.
    """
    kinds = [*(every for every, _ in said), *wide]
    shares = weigh(target, kinds, *known)
    blend = Blend(shares)
    honest = blend(target, torch.stack(kinds, 1))
    sharp = sharpness(target, honest, *known)
    paired = left_out.sum(1) == 2
    if not paired.any():
        return shares, sharp, sharp * honest
    of_paired = tuple(part[paired] for part in known)
    two = sharpness(target, honest[paired], *of_paired)
    kinds[: len(said)] = (first for _, first in said)
    one = sharpness(target, blend(target, torch.stack(kinds, 1)[paired]), *of_paired)
    return shares, sharpness_of_all(one, two, left_out.shape[1]), sharp * honest


def _fitted(
    encoder: Encoder, target: Target, rows: Rows, together: Tensor | None, section: Section | None
) -> list[Fitted]:
    """An infinitely wide network for each view of the rows; none if memory does not suffice."""
    fitted: list[Fitted] = []
    try:
        for at, view in enumerate(encoder.views):
            own = None if section is None else section.section(f"infinite{at}")
            found = None if own is None else own.found[0]
            if found is not None:
                fitted.append(Fitted.of(found.tensors))
                continue
            how = rows.inputs, rows.targets, target, view, rows.weights, together
            smooth = len(encoder.views) > 1 and not at
            fitted.append(fit_infinite(*how, WAVES if smooth else (LAYERS,)))
            if own is not None:
                own.finish(Snapshot(fitted[-1].tensors, {}))
        return fitted
    except (MemoryError, RuntimeError) as error:
        if not is_lack_of_memory(error):
            raise
        size = 3 * 8 * len(rows) ** 2 / 2**20
        warnings.warn(
            f"Infinitely wide networks learn from matrices of rows x rows, here {size:,.0f} MiB, "
            "which do not fit into memory; they are left out.",
            SelfNormWarning,
            stacklevel=2,
        )
    except KeyboardInterrupt:
        warnings.warn(
            "Infinitely wide networks are left out, as Ctrl-C came while they learned.",
            SelfNormWarning,
            stacklevel=2,
        )
    return []
