"""A training's state as tensors and JSON, and back: what a checkpoint holds of a network."""

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, cast

import torch
from torch import Tensor, nn

from selfnorm.errors import CheckpointError
from selfnorm.training._history import Epoch, Stop
from selfnorm.training._snapshot import Snapshot
from selfnorm.training._state import State

_COPIES = 4  # of the weights: the model's, the best, and the optimizer's two averages


def size_of(model: nn.Module) -> int:
    """About how many bytes the state of a model's training has."""
    return _COPIES * sum(one.numel() * one.element_size() for one in model.parameters())


def snapshot_of(state: State, own: Mapping[str, Any] | None = None) -> Snapshot:
    """What is needed to go on behind the mini-batch that was the last.

    Args:
        state: The state; its tensors are not copied.
        own: What the caller needs besides, as plain JSON.
    """
    optimizer, now = state.optimizer.state_dict(), time.perf_counter()
    tensors = {
        **_named("model", state.model.state_dict()),
        **_named("best", state.weights),
        **_named("generator", {name: one.get_state() for name, one in _generators(state).items()}),
        "began": _began(state),
        "total": torch.as_tensor(state.total),
    }
    for number, moments in optimizer.pop("state").items():
        tensors.update(_named(f"optimizer/{number}", moments))
    record = {
        "epochs": [asdict(epoch) for epoch in state.epochs],
        "best": None if state.best is None else state.best.number,
        "least": state.least,
        "steps": state.steps,
        "rows": state.rows,
        "seconds": [now - state.begun, now - state.started],
        "optimizer": optimizer,
        "schedule": state.schedule.state_dict(),
        "place": state.place,
        "own": own,
    }
    return Snapshot(tensors, record)


def restore(state: State, found: Snapshot) -> Any:
    """Let a state go on from what is left of one like it.

    Returns:
        What `own` was.

    Raises:
        CheckpointError: it is of another model or optimizer.
    """
    optimizer, record = state.optimizer.state_dict(), found.record
    parameters = [one for group in state.optimizer.param_groups for one in group["params"]]
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in _part(found, "optimizer").items():
        number, _, key = name.partition("/")
        moments.setdefault(int(number), {})[key] = value
    shapes = [len(group["params"]) for group in optimizer["param_groups"]]
    _require(shapes == [len(one["params"]) for one in record["optimizer"]["param_groups"]])
    for number, each in moments.items():
        _require(number < len(parameters))
        shape = parameters[number].shape
        _require(all(one.shape in (shape, torch.Size()) for one in each.values()))
    state.weights = _like(state.weights, _part(found, "best"))
    state.model.load_state_dict(_like(state.model.state_dict(), _part(found, "model")))
    state.optimizer.load_state_dict({**record["optimizer"], "state": moments})
    state.schedule.load_state_dict(record["schedule"])
    _set_generators(state, found)
    _resume_epoch(state, found)
    return record["own"]


def finished(state: State, stop: Stop, own: Any) -> Snapshot:
    """What is kept of a training that has ended: the best epoch's weights, epochs, generators."""
    drawn = {name: one.get_state() for name, one in _generators(state).items()}
    record = {
        "epochs": [asdict(epoch) for epoch in state.epochs],
        "best": None if state.best is None else state.best.number,
        "stop": stop,
        "own": own,
    }
    return Snapshot({**_named("best", state.weights), **_named("generator", drawn)}, record)


def restore_finished(state: State, found: Snapshot) -> tuple[Stop, Any]:
    """Let a state end as one like it did; why that ended, and what `own` was."""
    state.weights = _like(state.weights, _part(found, "best"))
    _set_generators(state, found)
    _take_epochs(state, found.record)
    return cast("Stop", found.record["stop"]), found.record["own"]


def _resume_epoch(state: State, found: Snapshot) -> None:
    """The epoch that is under way, and those before."""
    record = found.record
    _take_epochs(state, record)
    state.least = float(record["least"])
    state.steps, state.rows, state.place = record["steps"], record["rows"], record["place"]
    now = time.perf_counter()
    state.begun, state.started = (now - float(spent) for spent in record["seconds"])
    total = found.tensors["total"]
    state.total = total.to(next(state.model.parameters()).device) if record["steps"] else 0.0
    state.began = found.tensors["began"]


def _take_epochs(state: State, record: Mapping[str, Any]) -> None:
    state.epochs = [Epoch(**epoch) for epoch in record["epochs"]]
    state.best = None if record["best"] is None else state.epochs[record["best"] - 1]


def _generators(state: State) -> dict[str, torch.Generator]:
    """Where all that is random comes from, each once.

    Torch's default generators are among them only where the order of rows is drawn from the default
    one: then nobody has said that the process's are not to be touched.
    """
    found = {"order": state.generator or torch.default_generator}
    for name, module in state.model.named_modules():
        one = getattr(module, "generator", None)
        if isinstance(one, torch.Generator) and not any(one is other for other in found.values()):
            found[f"of {name}"] = one
    device = next(state.model.parameters()).device
    if state.generator is None and device.type == "cuda":
        found["cuda"] = torch.cuda.default_generators[device.index or 0]
    return found


def _set_generators(state: State, found: Snapshot) -> None:
    generators, drawn = _generators(state), _part(found, "generator")
    _require(generators.keys() == drawn.keys())
    for name, generator in generators.items():
        generator.set_state(drawn[name])


def _began(state: State) -> Tensor:
    return _generators(state)["order"].get_state() if state.began is None else state.began


def _named(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}/{name}": one for name, one in tensors.items()}


def _part(found: Snapshot, prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(f"{prefix}/"): one
        for name, one in found.tensors.items()
        if name.startswith(f"{prefix}/")
    }


def _like(wanted: Mapping[str, Any], found: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors, if they have the names, shapes and types of others.

    Raises:
        CheckpointError: they have not.
    """
    _require(wanted.keys() == found.keys())
    for name, one in wanted.items():
        _require(one.shape == found[name].shape and one.dtype == found[name].dtype)
    return {name: one.to(wanted[name].device) for name, one in found.items()}


def _require(holds: bool) -> None:
    if not holds:
        raise CheckpointError(
            "A training goes on from a checkpoint of the same network and optimizer; this one has "
            "other parameters. Build the network as before; or discard the checkpoint with "
            "--no-resume (in Python resume=False)."
        )
