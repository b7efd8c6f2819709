"""Tox21's molecules as numbers, by RDKit: counts of circular fingerprints, MACCS keys, descriptors.

Mayr et al. 2016 (DeepTox) and Klambauer et al. 2017 used the same kinds of features, of other
software and more of them.
"""

import csv
import gzip
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from reproductions._experiment import require

TASKS = ("NR.AhR", "NR.AR", "NR.AR.LBD", "NR.Aromatase", "NR.ER", "NR.ER.LBD", "NR.PPAR.gamma",
         "SR.ARE", "SR.ATAD5", "SR.HSE", "SR.MMP", "SR.p53")  # fmt: skip
RADIUS, LEAST = 2, 20  # of a fingerprint; training molecules that must have a fragment
_LARGEST = 10.0  # descriptors are cut at so many deviations


@dataclass(frozen=True)
class Molecules:
    """Features, labels (nan where unknown), and of each row its part of the challenge and skeleton.

    The skeleton is what the InChIKey says of a molecule without its charges and stereochemistry.
    """

    counts: sparse.csr_array
    dense: np.ndarray
    labels: np.ndarray
    part: np.ndarray
    skeleton: np.ndarray


def load(data: Path, cache: Path) -> Molecules:
    """The molecules of a folder; what RDKit finds is kept in a file, as it takes minutes."""
    if not cache.exists():
        cache.parent.mkdir(parents=True, exist_ok=True)
        temporary = cache.with_suffix(".tmp.npz")
        np.savez_compressed(temporary, **_arrays(described(data)))
        temporary.replace(cache)
    with np.load(cache) as file:
        counts = sparse.csr_array(
            (file["values"], file["columns"], file["start"]), shape=tuple(file["shape"])
        )
        names = ("dense", "labels", "part", "skeleton")
        return Molecules(counts, *(file[name] for name in names))


def described(data: Path) -> Molecules:
    """All molecules that RDKit reads, in the order of the table."""
    known = {row["sdftitle"]: row for row in _rows(data / "tox21_compoundData.csv")}
    found = [(known[name], *features(molecule)) for name, molecule in molecules(data, known)]
    part = np.array([row["set"] for row, _, _ in found])
    labels = [[_number(row[task]) for task in TASKS] for row, _, _ in found]
    counts = matrix([fragments for _, fragments, _ in found], part == "training")
    dense = clean([one for _, _, one in found])
    skeleton = np.array([row["inchikey"][:14] for row, _, _ in found])
    return Molecules(counts, dense, np.array(labels), part, skeleton)


def molecules(data: Path, known: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """Name and molecule of each entry that RDKit reads and the table knows."""
    require("rdkit")
    from rdkit import Chem, RDLogger

    RDLogger.DisableLog("rdApp.*")
    with gzip.open(data / "tox21.sdf.gz") as file:
        for molecule in Chem.ForwardSDMolSupplier(file):
            if molecule is not None and (name := molecule.GetProp("_Name")) in known:
                yield name, molecule


def features(molecule: Any) -> tuple[dict[str, int], list[float]]:
    """Fragments and MACCS keys with their counts, and descriptors."""
    from rdkit.Chem import MACCSkeys, rdFingerprintGenerator, rdMolDescriptors

    made = rdFingerprintGenerator.GetMorganGenerator(radius=RADIUS)
    circular = made.GetSparseCountFingerprint(molecule).GetNonzeroElements()
    keys = MACCSkeys.GenMACCSKeys(molecule).GetOnBits()
    fragments = {f"ECFP {one}": many for one, many in circular.items()}
    fragments |= {f"MACCS {one}": 1 for one in keys}
    return fragments, list(rdMolDescriptors.Properties().ComputeProperties(molecule))


def matrix(fragments: list[dict[str, int]], training: np.ndarray) -> sparse.csr_array:
    """log(1 + count) of those that enough training molecules have."""
    seen = Counter(
        name for one, trains in zip(fragments, training, strict=True) if trains for name in one
    )
    column = {name: k for k, name in enumerate(sorted(n for n, m in seen.items() if m >= LEAST))}
    entries = [[(column[n], m) for n, m in one.items() if n in column] for one in fragments]
    start = np.cumsum([0, *map(len, entries)])
    columns = np.array([k for one in entries for k, _ in one], dtype=np.int64)
    values = np.log1p(np.array([m for one in entries for _, m in one], dtype=np.float64))
    return sparse.csr_array((values, columns, start), shape=(len(fragments), len(column)))


def clean(descriptors: list[list[float]]) -> np.ndarray:
    """Columns with what is missing at the median, and tails cut."""
    columns = np.array(descriptors, dtype=np.float64)
    columns[~np.isfinite(columns)] = np.nan
    columns = np.where(np.isnan(columns), np.nanmedian(columns, axis=0), columns)
    middle, spread = np.median(columns, axis=0), columns.std(0)
    return np.clip(columns, middle - _LARGEST * spread, middle + _LARGEST * spread)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _number(text: str) -> float:
    return float("nan") if text == "NA" else float(text)


def _arrays(found: Molecules) -> dict[str, np.ndarray]:
    counts = found.counts
    return {
        "values": counts.data,
        "columns": counts.indices,
        "start": counts.indptr,
        "shape": np.array(counts.shape),
        "dense": found.dense,
        "labels": found.labels,
        "part": found.part,
        "skeleton": found.skeleton,
    }
