"""Mutated model files and tables: is each read, or refused with a clear line, in bounded memory?

A mutation changes bits, cuts, repeats or moves bytes; or it changes what a record says, or a zip's
sizes and names, and signs it anew, so that no checksum stands in the way.
"""

import gzip
import hashlib
import io
import json
import resource
import struct
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from benchmarks._harness import Row, main
from selfnorm.errors import ModelFolderError, TableError
from selfnorm.tabular import Settings, fit, save_model
from selfnorm.tabular._forward import Networks
from selfnorm.tabular._model_file import read_model
from selfnorm.tabular.data._table import read_table

_LONGEST = 400  # letters of a clear line, besides the path
_STRANGE: tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 2**31, 2**63, 10**400, 1e308, -1e-320, float("nan"), float("inf")),
    *("", "x", "\ud800", "../../etc/passwd", [], {}, [[]], "9" * 1000),
)


def measure(quick: bool) -> Iterator[Row]:
    """A row for each kind of file."""
    models, tables = (60, 40) if quick else (10_000, 1_000)
    with tempfile.TemporaryDirectory() as folder:
        for what, count, mutated in (
            ("model files", models, mutated_models),
            ("tables", tables, mutated_tables),
        ):
            mutated(4, Path(folder))  # imports, and the models themselves
            before, begin = _peak(), time.perf_counter()
            found = mutated(count, Path(folder))
            seconds = (time.perf_counter() - begin) / count
            wrong = "; ".join(name for name in found if name not in ("read", "refused"))[:500]
            yield Row(
                f"{count:,} mutated {what}: read or refused",
                f"longest {found.longest:.2f} s, memory",
                f"{found['read']:,} + {found['refused']:,}",
                f"+{_peak() - before:.0f} MiB, {seconds * 1e3:.1f} ms each",
                wrong=wrong,
            )


class Outcomes(Counter[str]):
    """How often what happened; and the longest time that one took, in seconds."""

    longest = 0.0

    def note(self, name: str, run: Callable[[], object]) -> None:
        """Count a reading: `read`, `refused`, or what came in its place."""
        begin = time.perf_counter()
        try:
            run()
        except (ModelFolderError, TableError) as error:
            line = str(error)
            clear = "\n" not in line and len(line) < _LONGEST + 4 * len(name)
            self["refused" if clear else f"no clear line: {line[:80]!r}"] += 1
        except Exception as error:
            self[f"{type(error).__name__}: {str(error)[:80]}"] += 1
        else:
            self["read"] += 1
        self.longest = max(self.longest, time.perf_counter() - begin)


def mutated_models(count: int, folder: Path, seed: int = 0) -> Outcomes:
    """Load mutations of two models, in folders and files; what is read predicts."""
    chance, found = np.random.default_rng(seed), Outcomes()
    originals = [_model(folder / f"model{at}", at) for at in range(2)]
    for number in range(count):
        files = dict(originals[number % 2])
        kind = chance.integers(4)
        if kind == 0:
            _resigned(files, chance)
        elif kind == 1:
            name = str(chance.choice(list(files)))
            files[name] = _mutated(files[name], chance)
        path = folder / "mutant.snn"
        if kind < 2 and number % 3 == 0:  # a folder of them, else a file
            path = folder / "mutant"
            path.mkdir(exist_ok=True)
            for name, data in files.items():
                (path / name).write_bytes(data)
        else:
            content = _zipped(files)
            if kind >= 2:
                content = _mutated(content, chance) if kind == 2 else _lying(content, chance)
            path.write_bytes(content)
        found.note(str(path), lambda path=path: _told(path))
    return found


def mutated_tables(count: int, folder: Path, seed: int = 0) -> Outcomes:
    """Read mutations of a CSV, a packed CSV and a Parquet file."""
    chance, found = np.random.default_rng(seed), Outcomes()
    table = _table()
    lines = io.BytesIO()
    pa.csv.write_csv(table, lines)
    parquet = io.BytesIO()
    pq.write_table(table, parquet)
    originals = {
        "t.csv": lines.getvalue(),
        "t.csv.gz": gzip.compress(lines.getvalue(), mtime=0),
        "t.parquet": parquet.getvalue(),
    }
    for number in range(count):
        name = list(originals)[number % 3]
        path = folder / name
        path.write_bytes(_mutated(originals[name], chance))
        found.note(str(path), lambda path=path: read_table(path))
    return found


def _told(path: Path) -> None:
    saved = read_model(path)
    Networks(saved)(np.zeros((3, len(saved.encoder.features)), np.float32))


def _table() -> pa.Table:
    chance = np.random.default_rng(0)
    number = chance.standard_normal(80)
    return pa.table(
        {
            "number": pa.array(number, mask=chance.random(80) < 0.1),
            "city": chance.choice(["Oslo", "Rome", "Lima, or so"], 80),
            "day": np.datetime64("2020-01-01") + chance.integers(0, 999, 80),
            "label": np.where(number > 0, "big", "small"),
        }
    )


def _model(folder: Path, at: int) -> dict[str, bytes]:
    """The files of a small model: of one network, or of several with infinite width."""
    how = Settings(
        target="label", width=4, depth=2, n_estimators=1 + at, epochs=1, test=0.0, device="cpu"
    )
    if not folder.exists():
        save_model(fit(_table(), how).model, folder)
    return {name: (folder / name).read_bytes() for name in ("model.json", "model.safetensors")}


def _mutated(content: bytes, chance: np.random.Generator) -> bytes:
    """Bits flipped, or a piece cut out, repeated, zeroed or moved."""
    data = bytearray(content)
    kind = chance.integers(6)
    if kind <= 1:
        for place in chance.integers(0, len(data), 1 + 20 * kind):
            data[place] ^= 1 << chance.integers(8)
        return bytes(data)
    begin, end = sorted(chance.integers(0, len(data) + 1, 2))
    piece, to = data[begin:end], int(chance.integers(len(data) + 1))
    if kind == 2:
        return bytes(data[:end])
    if kind == 3:
        return bytes(data[:begin] + data[end:])
    if kind == 4:
        return bytes(data[:to] + piece + data[to:])
    return bytes(data[:begin] + bytes(len(piece)) + data[end:])


def _resigned(files: dict[str, bytes], chance: np.random.Generator) -> None:
    """A record that says something else, or other weights, with the checksums that fit."""
    record = json.loads(files["model.json"])
    if chance.random() < 0.3:
        weights = bytearray(files["model.safetensors"])
        size = struct.unpack("<Q", weights[:8])[0]
        end = 8 + size if chance.random() < 0.7 else len(weights)
        for place in chance.integers(0, end, 3):
            weights[place] = chance.integers(256)
        files["model.safetensors"] = bytes(weights)
        record["weights_sha256"] = hashlib.sha256(weights).hexdigest()
    else:
        _change(record, chance)
    record.pop("sha256", None)
    signed = json.dumps(record, sort_keys=True, separators=(",", ":")).encode()
    record["sha256"] = hashlib.sha256(signed).hexdigest()
    files["model.json"] = json.dumps(record).encode()


def _change(record: Any, chance: np.random.Generator) -> None:
    """Something somewhere in a record becomes something strange, is lost, or stands twice."""
    while True:
        keys = list(record) if isinstance(record, dict) else list(range(len(record)))
        key = keys[chance.integers(len(keys))]
        inner = record[key]
        if isinstance(inner, dict | list) and inner and chance.random() < 0.8:
            record = inner
            continue
        kind = chance.integers(4)
        if kind == 0:
            del record[key]
        elif kind == 1 and isinstance(record, list):
            record.append(inner)
        else:
            record[key] = _STRANGE[chance.integers(len(_STRANGE))]
        return


def _zipped(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return content.getvalue()


def _lying(content: bytes, chance: np.random.Generator) -> bytes:
    """A zip whose directory says other sizes, names or ways to pack."""
    data = bytearray(content)
    at = data.find(b"PK\x01\x02") if chance.random() < 0.8 else data.find(b"PK\x03\x04")
    place = at + int(chance.integers(4, 60))
    size = int(chance.choice([1, 2, 4]))
    data[place : place + size] = int(chance.integers(0, 256**size)).to_bytes(size, "little")
    return bytes(data)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main("fuzz", measure)
