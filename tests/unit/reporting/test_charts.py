"""The charts: what is drawn is as high as its number, and never told by colour alone."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lyceum.reporting.charts import Column, Mark, Strip, nice_ceiling, short, sparkline, stacked_columns, strips

SVG = "{http://www.w3.org/2000/svg}"


def drawn(markup: str) -> ElementTree.Element:
    """Parse a drawing, which must be well-formed XML; HTML supplies its namespace."""
    return ElementTree.fromstring(str(markup).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))


def bars(markup: str, style: str) -> list[ElementTree.Element]:
    return [bar for bar in drawn(markup).iter(f"{SVG}rect") if bar.get("class") == style]


@given(st.floats(min_value=1e-6, max_value=1e12))
def test_an_axis_reaches_its_greatest_value_and_not_far_beyond(value: float) -> None:
    top = nice_ceiling(value)
    assert value <= top * (1 + 1e-9)
    assert top <= 4 * value * (1 + 1e-9) or math.isclose(top, 4 * 10 ** math.floor(math.log10(value / 4) + 1))
    assert top < value * 2.51


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.25, "0.25"), (950, "950"), (1_200, "1.2 k"), (40_000, "40 k"), (7_195_160, "7.2 M")],
)
def test_an_axis_says_numbers_as_people_read_them(value: float, text: str) -> None:
    assert short(value) == text


def test_columns_are_as_high_as_their_numbers_and_stand_on_each_other() -> None:
    chart = stacked_columns(
        [Column("Mon", (30.0, 10.0), "Monday"), Column("Tue", (15.0, 0.0), "Tuesday")], ["low", "high"], "two days"
    )
    monday, tuesday = bars(chart, "low")
    (above,) = bars(chart, "high")

    def edge(bar: ElementTree.Element, name: str) -> float:
        return float(bar.get(name, "nan"))

    assert edge(monday, "height") == pytest.approx(2 * edge(tuesday, "height"), abs=0.2)
    assert edge(monday, "height") == pytest.approx(3 * edge(above, "height"), abs=0.2)
    assert edge(above, "y") + edge(above, "height") == pytest.approx(edge(monday, "y"), abs=0.2)
    assert edge(monday, "y") + edge(monday, "height") == pytest.approx(
        edge(tuesday, "y") + edge(tuesday, "height"), abs=0.2
    )


def test_one_record_beside_a_million_is_seen() -> None:
    chart = stacked_columns([Column("Mon", (1_000_000.0, 1.0), "Monday")], ["many", "one"], "a day")
    assert float(bars(chart, "one")[0].get("height", "0")) >= 1


def test_every_column_tells_its_numbers_and_the_newest_has_a_label() -> None:
    columns = [Column(f"day {number}", (1.0,), f"<{number}>") for number in range(90)]
    chart = drawn(stacked_columns(columns, ["all"], "ninety days"))
    assert [title.text for title in chart.iter(f"{SVG}title")] == [f"<{number}>" for number in range(90)]
    labels = [text.text for text in chart.iter(f"{SVG}text") if (text.text or "").startswith("day ")]
    assert labels[-1] == "day 89"
    assert len(labels) <= 16


def test_a_chart_without_columns_is_still_a_chart() -> None:
    assert drawn(stacked_columns([], ["all"], "nothing")).get("aria-label") == "nothing"


def test_marks_differ_in_shape_and_the_newest_are_one_below_the_other() -> None:
    kinds = ("met", "info", "warning", "critical", "none")
    chart = drawn(
        strips([Strip("all", tuple(Mark(kind, kind) for kind in kinds)), Strip("one", (Mark("met", "met"),))], "marks")
    )
    groups = list(chart.iter(f"{SVG}g"))
    shapes = {ElementTree.tostring(group[1]) for group in groups[:5]}
    assert len(shapes) == len(kinds)
    places = [(group.get("transform") or "").split("(")[1].split(",")[0] for group in groups]
    assert places[4] == places[5]


def test_a_day_without_events_is_drawn_as_none() -> None:
    spark = sparkline([0.0, 5.0, 10.0], "three days")
    assert len(bars(spark, "nothing")) == len(bars(spark, "past")) == len(bars(spark, "newest")) == 1
