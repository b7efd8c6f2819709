"""Model folders that say something else than they did, signed as if `fit` had written it."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.torch import load, save
from torch import Tensor


def rewrite(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a folder's record in place, and give it the checksum of what it then says."""
    record = json.loads((folder / "model.json").read_text())
    change(record)
    record.pop("sha256", None)
    content = json.dumps(record, sort_keys=True, separators=(",", ":")).encode()
    record["sha256"] = hashlib.sha256(content).hexdigest()
    (folder / "model.json").write_text(json.dumps(record))


def reweigh(folder: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
    """Change a folder's weights, and let the record know them."""
    weights = save(change(load((folder / "model.safetensors").read_bytes())))
    (folder / "model.safetensors").write_bytes(weights)
    digest = hashlib.sha256(weights).hexdigest()
    rewrite(folder, lambda record: record.update(weights_sha256=digest))
