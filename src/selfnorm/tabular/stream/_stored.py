"""A table in parts that was made ready, as a file: who goes on needs no other pass over it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from selfnorm.tabular._prepared import Prepared, Truth
from selfnorm.tabular._source import Source
from selfnorm.tabular.data._layout import Layout
from selfnorm.tabular.encoding._encode import Encoder
from selfnorm.tabular.encoding._targets import target_from_dict, target_to_dict
from selfnorm.tabular.stream._deal import Unit
from selfnorm.tabular.stream._parts import Part
from selfnorm.tabular.stream._reading import Reading
from selfnorm.tabular.stream._stream import Stream
from selfnorm.tabular.stream._target import TargetReader
from selfnorm.training import Rows
from selfnorm.training._snapshot import Snapshot

_OF_SOURCE = ("name", "task", "dropped", "weightless", "notes")
_OF_READING = ("target", "weight", "seed", "rows", "readers")
_NO_NUMBERS = {"reading", "encoder", "target", "reader", "lanes", "lane_rows"}
_NUMBERS = [field.name for field in fields(Stream) if field.name not in _NO_NUMBERS]
_KINDS: Mapping[str, type] = {kind.__name__: kind for kind in (bool, int, float, str)}


def store(ready: Prepared, identity: Mapping[str, Any]) -> Snapshot:
    """All of a table in parts that stays in memory, and how the rest is read."""
    stream, tensors = ready.streamed, dict[str, Tensor]()
    if stream is None:
        raise TypeError("a table in memory is read again")
    record: dict[str, Any] = {
        "identity": dict(identity),
        "encoder": ready.encoder.to_dict(),
        "target": target_to_dict(ready.target),
        "source": _source(ready.source, "source", tensors),
        "test": _source(ready.test, "test", tensors),
        "training": not _judge(ready) and _rows(ready.training, "training", tensors),
        "validation": ready.validation and _rows(ready.validation, "validation", tensors),
        "judged": None,
        "reader": {**asdict(stream.reader), "kind": stream.reader.kind.__name__},
        "reading": {name: getattr(stream.reading, name) for name in _OF_READING},
        "parts": [_part(part, at, tensors) for at, part in enumerate(stream.reading.parts)],
        "stream": {name: getattr(stream, name) for name in _NUMBERS},
        "lanes": [[_unit(one) for one in lane] for lane in stream.lanes],
        "lane_rows": list(stream.lane_rows),
    }
    if ready.judged is not None:
        record["judged"] = _array(ready.judged.values, "judged", tensors)
        _optional(ready.judged.weights, "judged/weights", tensors)
    if ready.left_out is not None:
        tensors["left_out"] = ready.left_out
    return Snapshot(tensors, record)


def restored(found: Snapshot, files: Sequence[Path], device: torch.device) -> Prepared:
    """The inverse of `store`, of the same files."""
    tensors, record = found.tensors, found.record
    encoder, target = Encoder.from_dict(record["encoder"]), target_from_dict(record["target"])
    parts = tuple(_part_of(part, at, files, tensors) for at, part in enumerate(record["parts"]))
    by_place = {part.place: part for part in parts}
    reader: dict[str, Any] = {**record["reader"], "kind": _KINDS[record["reader"]["kind"]]}
    stream = Stream(
        reading=Reading(parts, **record["reading"]),
        encoder=encoder,
        target=target,
        reader=TargetReader(**reader),
        lanes=tuple(
            tuple(Unit(by_place[place], *numbers) for place, *numbers in lane)
            for lane in record["lanes"]
        ),
        lane_rows=tuple(record["lane_rows"]),
        **record["stream"],
    )
    judged = None
    if record["judged"] is not None:
        weights = tensors.get("judged/weights")
        values = _array_of(record["judged"], "judged", tensors)
        judged = Truth(values, None if weights is None else weights.numpy())
    validation = _rows_of("validation", tensors, device) if record["validation"] else None
    if record["training"] or validation is None:
        training = _rows_of("training", tensors, device)
    else:
        training = replace(validation)
    return Prepared(
        source=_source_of(record["source"], "source", tensors),
        encoder=encoder,
        target=target,
        training=training,
        validation=validation,
        judged=judged,
        test=_source_of(record["test"], "test", tensors),
        left_out=tensors.get("left_out"),
        streamed=stream,
    )


def _judge(ready: Prepared) -> bool:
    """Whether the rows that are looked at in place of all are those that judge, in one memory."""
    return ready.validation is not None and ready.training.inputs is ready.validation.inputs


def _source(source: Source, name: str, tensors: dict[str, Tensor]) -> dict[str, Any]:
    tensors[f"{name}/table"] = _bytes(_ipc(source.table))
    _optional(source.weights, f"{name}/weights", tensors)
    told = {one: getattr(source, one) for one in _OF_SOURCE}
    return {**told, "values": _array(source.values, f"{name}/values", tensors)}


def _source_of(told: Mapping[str, Any], name: str, tensors: Mapping[str, Tensor]) -> Source:
    with pa.ipc.open_stream(_buffer(tensors[f"{name}/table"])) as reader:
        table = reader.read_all()
    weights = tensors.get(f"{name}/weights")
    own: dict[str, Any] = {one: told[one] for one in _OF_SOURCE}
    own["notes"] = tuple(own["notes"])
    return Source(
        table=table,
        values=_array_of(told["values"], f"{name}/values", tensors),
        weights=None if weights is None else weights.numpy(),
        **own,
    )


def _rows(rows: Rows, name: str, tensors: dict[str, Tensor]) -> bool:
    tensors[f"{name}/inputs"], tensors[f"{name}/targets"] = rows.inputs, rows.targets
    if rows.weights is not None:
        tensors[f"{name}/weights"] = rows.weights
    return True


def _rows_of(name: str, tensors: Mapping[str, Tensor], device: torch.device) -> Rows:
    weights = tensors.get(f"{name}/weights")
    found = Rows(tensors[f"{name}/inputs"], tensors[f"{name}/targets"], weights)
    return found.map(lambda one: one.to(device, copy=True))  # as in `_prepare`, aligned


def _part(part: Part, at: int, tensors: dict[str, Tensor]) -> dict[str, Any]:
    tensors[f"parts/{at}"] = _bytes(part.schema.serialize())
    layout = None if part.layout is None else asdict(part.layout)
    names = ("place", "kind", "groups", "rows", "encoding", "held", "missing")
    return {**{name: getattr(part, name) for name in names}, "layout": layout}


def _part_of(
    told: Mapping[str, Any], at: int, files: Sequence[Path], tensors: Mapping[str, Tensor]
) -> Part:
    schema = pa.ipc.read_schema(_buffer(tensors[f"parts/{at}"]))
    layout = None if told["layout"] is None else Layout(**told["layout"])
    known: dict[str, Any] = {**told, "layout": layout, "missing": tuple(told["missing"])}
    return Part(files[told["place"]], schema=schema, **known)


def _unit(unit: Unit) -> list[int]:
    return [unit.part.place, unit.group, unit.piece, unit.pieces]


def _array(values: np.ndarray, name: str, tensors: dict[str, Tensor]) -> list[str] | bool:
    """Numbers among the tensors, text as a list."""
    if values.dtype.kind == "U":
        return values.tolist()
    tensors[name] = torch.from_numpy(np.ascontiguousarray(values))
    return True


def _array_of(told: list[str] | bool, name: str, tensors: Mapping[str, Tensor]) -> np.ndarray:
    return np.asarray(told, dtype=str) if isinstance(told, list) else tensors[name].numpy()


def _optional(values: np.ndarray | None, name: str, tensors: dict[str, Tensor]) -> None:
    if values is not None:
        tensors[name] = torch.from_numpy(np.ascontiguousarray(values))


def _ipc(table: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _bytes(buffer: pa.Buffer) -> Tensor:
    return torch.from_numpy(np.frombuffer(buffer, np.uint8).copy())


def _buffer(tensor: Tensor) -> pa.Buffer:
    return pa.py_buffer(tensor.numpy())
