"""Dates as people write them: each way by itself, and what a whole column tells."""

import pyarrow as pa
import pytest

from selfnorm.tabular.data._dates import (
    FORMATS,
    ISO,
    are_times,
    dates_of,
    example,
    look_like_dates,
    parse_dates,
    parse_times,
)

THE_31ST = "2015-01-31 00:00:00"
AT_NOON = "2015-01-31 12:30:00"
WAYS = {
    "2015-01-31": (ISO, THE_31ST),
    "2015/01/31": ("%Y/%m/%d", THE_31ST),
    "31/01/2015": ("%d/%m/%Y", THE_31ST),
    "01/31/2015": ("%m/%d/%Y", THE_31ST),
    "1/31/15": ("%m/%d/%y", THE_31ST),
    "31.01.2015": ("%d.%m.%Y", THE_31ST),
    "31.1.15": ("%d.%m.%y", THE_31ST),
    "31-01-2015": ("%d-%m-%Y", THE_31ST),
    "31-Jan-2015": ("%d-%b-%Y", THE_31ST),
    "31 January 2015": ("%d %b %Y", THE_31ST),
    "31JAN2015": ("%d %b %Y", THE_31ST),
    "Jan 31, 2015": ("%b %d, %Y", THE_31ST),
    "January 31st, 2015": ("%b %d, %Y", THE_31ST),
    "Saturday, January 31, 2015": ("%a, %b %d, %Y", THE_31ST),
    "Sat, 31 Jan 2015 12:30:00 +0000": ("%a, %d %b %Y", AT_NOON),
    "20150131": ("%Y%m%d", THE_31ST),
    "2015-01-31T12:30:00Z": (ISO, AT_NOON),
    "2015-01-31 14:30:00.000+02:00": (ISO, AT_NOON),
    "2015-01-31 12:30": (ISO, AT_NOON),
    "31.01.2015 12:30:00": ("%d.%m.%Y", AT_NOON),
    "01/31/2015 12:30 PM": ("%m/%d/%Y", AT_NOON),
    "1/31/2015 12:30:00 p.m.": ("%m/%d/%Y", AT_NOON),
    "2015/01/31 13:30 +01": ("%Y/%m/%d", AT_NOON),
    "Sept 1, 2015": ("%b %d, %Y", "2015-09-01 00:00:00"),
    "Jan 2015": ("%b %Y", "2015-01-01 00:00:00"),
    "2015-01": ("%Y-%m", "2015-01-01 00:00:00"),
    "31/12/1899": ("%d/%m/%Y", "1899-12-31 00:00:00"),
}


@pytest.mark.parametrize("text", WAYS)
def test_a_way_of_writing_is_known(text: str) -> None:
    written, moment = WAYS[text]
    found = dates_of(pa.array([text]))
    assert found is not None
    assert (found.written, found.other, found.misfit) == (written, None, None)
    assert str(parse_dates(pa.array([text]), written)[0]) == moment


NONE = ["1.2.3", "12.5", "10-20", "Room 5", "Dec 5", "120/80", "level 7", "555-1234", "a", "1/2"]


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_date(text: str) -> None:
    assert dates_of(pa.array([text])) is None


def test_a_whole_column_tells_day_from_month() -> None:
    both = dates_of(pa.array(["01/03/2015", "02/11/2016"]))
    assert both is not None
    assert (both.written, both.other) == ("%m/%d/%Y", "%d/%m/%Y")
    dotted = dates_of(pa.array(["01.03.2015", "02.11.2016"]))
    assert dotted is not None
    assert (dotted.written, dotted.other) == ("%d.%m.%Y", "%m.%d.%Y")
    day = dates_of(pa.array(["01/03/2015", "13/11/2016"]))
    assert day is not None
    assert (day.written, day.other) == ("%d/%m/%Y", None)
    late = [f"{row % 12 + 1:02}/01/{1000 + row}" for row in range(3000)]
    decided = dates_of(pa.array([*late, "01/13/2015"]))
    assert decided is not None
    assert (decided.written, decided.other) == ("%m/%d/%Y", None)


def test_days_that_a_month_has_not_are_misfits() -> None:
    days = [f"{day}/01/2015" for day in range(1, 32)]
    found = dates_of(pa.array([*days, "31/02/2015"]))
    assert found is not None
    assert found.misfit == "31/02/2015"
    assert parse_dates(pa.array(["29/02/2015", "29/02/2016"]), "%d/%m/%Y").null_count == 1
    mixed = pa.array(["13/01/2015", "01/13/2015"])
    assert dates_of(mixed) is None
    assert look_like_dates(mixed)


def test_iso_is_read_among_others() -> None:
    found = dates_of(pa.array(["31/01/2015", "2015-02-01"]))
    assert found is not None
    assert (found.written, found.misfit) == ("%d/%m/%Y", None)
    assert parse_dates(pa.array(["01/02/2020"]), ISO).null_count == 1


def test_times_of_day() -> None:
    texts = pa.array(["12:30", "1:05:07", "11:30 PM", "12:00 a.m."])
    assert are_times(texts)
    told = [str(one) for one in parse_times(texts)]
    assert told == ["12:30:00", "01:05:07", "23:30:00", "00:00:00"]
    assert not are_times(pa.array(["25:00"]))
    assert not are_times(pa.array(["2015-01-31 12:30"]))


@pytest.mark.parametrize("written", FORMATS)
def test_each_way_reads_its_own_example(written: str) -> None:
    moment = str(parse_dates(pa.array([example(written)]), written)[0])
    day = 31 if "%d" in written else 1
    assert moment == f"2020-01-{day:02} 00:00:00"
