"""What a report looks like, and that nothing of the model gets out unescaped."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import torch
from torch import nn

import selfnorm
from selfnorm.auditing import Report
from selfnorm.init import initialize_
from selfnorm.report._numbers import short, signed
from support.drawn import bars
from support.networks import plain, resnet
from support.tolerances import BARS

EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def report() -> Report:
    torch.manual_seed(0)
    model, images = resnet()
    return selfnorm.audit(model, images)


@pytest.fixture(scope="module")
def evil() -> Report:
    torch.manual_seed(0)

    class Evil(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name in (EVIL, '" onload="x', "{{ 7 * 7 }}", "[bold]"):
                self.add_module(name, nn.Linear(16, 16))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for layer in self.children():
                x = torch.relu(layer(x))
            return x

    Evil.__name__ = EVIL
    return selfnorm.audit(Evil(), torch.rand(64, 16))


def test_it_fits_eighty_columns(report: Report, evil: Report) -> None:
    for found in (report, evil):
        assert max(map(len, str(found).splitlines())) <= 80
    text = str(report)
    for word in (
        "Not a SELU network",
        "Do this:",
        "ERROR   wrong-activation",
        "layer1.0",
        "theory",
        "report.full()",
    ):
        assert word in text


def test_one_finding_speaks_for_its_rule(report: Report) -> None:
    assert str(report).count("ERROR   wrong-activation") == 1
    assert len([f for f in report.findings if f.rule == "wrong-activation"]) > 4


def test_long_networks_are_thinned() -> None:
    report = selfnorm.audit(plain(30), torch.randn(64, 64))
    assert "24 of 61 layers" in str(report)
    assert len(report.to_frame()) == 61


def test_it_is_one_screen_and_shows_what_findings_are_about() -> None:
    layers = [m for _ in range(40) for m in (nn.Linear(64, 64), nn.BatchNorm1d(64), nn.SELU())]
    model = selfnorm.init.initialize_(nn.Sequential(*layers, nn.Linear(64, 4)))
    nn.init.constant_(model[60].weight, 0.5)
    lines = str(selfnorm.audit(model, torch.rand(64, 64))).splitlines()
    assert len(lines) < 40
    assert max(map(len, lines)) <= 80
    table = [line.split() for line in lines[lines.index(next(x for x in lines if "───" in x)) :]]
    assert {row[-1] for row in table[2:5]} <= {"!", "!!"}


def test_names_are_shown_as_they_are(evil: Report) -> None:
    assert "[bold]" in str(evil)
    assert EVIL in " ".join(f.module for f in evil.findings)


def test_as_plain_values(report: Report) -> None:
    again = json.loads(report.to_json())
    assert again == report.to_dict()
    assert again["model"] == "ResNet"
    assert len(again["layers"]) == len(report.layers)
    assert "NaN" not in report.to_json()
    assert {"rule", "severity", "module", "seen", "expected", "why", "fix", "covers"} == set(
        again["findings"][0]
    )


def test_as_a_table(report: Report) -> None:
    frame = report.to_frame()
    assert len(frame) == len(report.layers)
    assert {"name", "variance", "predicted_variance", "tau", "omega", "gradient"} <= set(frame)
    assert frame["variance"].iloc[0] == report.layers[0].variance


def test_one_page_without_scripts(report: Report, evil: Report, tmp_path: Path) -> None:
    report.to_html(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert page.startswith("<!doctype html>")
    assert page == report.to_html()
    assert list(tmp_path.iterdir()) == [tmp_path / "report.html"]  # nothing temporary is left
    for found in (page, evil.to_html(), evil._repr_html_()):
        assert "<script" not in found.lower()
        assert "49" not in re.findall(r"<h1>(.*?)</h1>", found)
        assert 'onload="x' not in found.replace("&#34;", "'")
        assert not re.findall(r"(?:src|href)=[\"'](?!#)", found)  # nothing is fetched
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in evil.to_html()
    assert "{{ 7 * 7 }}" in evil.to_html()


def test_links_reach_their_layers(report: Report) -> None:
    page = report.to_html()
    anchors = set(re.findall(r'id="([^"]+)"', page))
    links = set(re.findall(r'href="#([^"]+)"', page))
    assert links
    assert links <= anchors
    assert page.count("<svg") == 3 + len(report.layers)
    for word in ("prefers-color-scheme:dark", "@media print", "max-width:700px", "viewport"):
        assert word in page


def test_the_cells_of_the_page_are_the_figures(report: Report) -> None:
    part = ET.fromstring(report._repr_html_())  # noqa: S314 - our own
    tables = part.findall("table")
    rows = tables[-1].findall("tbody/tr")
    heads = [cell.text for cell in tables[-1].iter("th")]
    assert len(rows) == len(report.layers)
    for row, layer in zip(rows, report.layers, strict=True):
        cells = {cell.get("data-of"): cell for cell in row}
        assert list(cells) == heads
        assert row.get("id") == f"layer-{layer.index}"
        texts = {name: cell.text for name, cell in cells.items() if name != "values"}
        assert texts == {
            "layer": layer.name,
            "kind": layer.kind,
            "shape": "×".join(map(str, layer.shape)),
            "mean": signed(layer.mean),
            "variance": short(layer.variance),
            "theory": short(float(layer.predicted.variance)) if layer.predicted else "-",
            "gradient": short(layer.gradient),
            "tau": short(layer.tau),
            "gain": short(layer.data_gain),
            "omega, rms": short(layer.omega_size),
            "dead": f"{layer.dead:.0%}",
            "kurtosis": short(layer.kurtosis),
        }
        drawn = next(path for path in cells["values"].iter("path"))
        heights = [height for _, _, height in bars(drawn.get("d") or "")]
        counts = layer.histogram.counts[layer.histogram.counts > 0]
        expected = 24 * np.sqrt(counts / counts.max())
        assert heights == pytest.approx(list(expected), abs=BARS)
    marked = {row.get("id"): row.get("class") for row in rows if row.get("class")}
    assert marked[f"layer-{report.layers[0].index}"] in {"error", "warning"}
    (given,) = report.features
    cells = {cell.get("data-of"): cell.text for cell in tables[0].iter("td")}
    assert cells == {
        "read by": report.layers[given.reader].name,
        "features": str(len(given.means)),
        "mean": signed(given.mean),
        "variance": short(given.variance),
        "lowest": short(given.low),
        "highest": short(given.high),
        "correlation": short(given.correlation_size),
    }


def test_the_page_and_the_figure_show_the_same(report: Report) -> None:
    part = ET.fromstring(report._repr_html_())  # noqa: S314 - our own
    axes = report.plot().axes
    for drawn, panel in zip(part.findall("div/figure"), axes, strict=True):
        caption, svg = drawn
        assert caption.text == panel.get_title(loc="left")
        texts = {text.text for text in svg.iter("text")}
        ticks = [*panel.get_xticklabels(), *panel.get_yticklabels()]
        assert {tick.get_text() for tick in ticks} <= texts
        seen = sum(len(points.get_offsets()) for points in panel.collections)
        assert len(list(svg.iter("circle"))) == seen


def test_a_notebook_gets_a_part_of_a_page(report: Report) -> None:
    part = report._repr_html_()
    assert part.lstrip().startswith('<div class="selfnorm">')
    assert "<html" not in part


def test_a_page_of_a_hundred_layers_stays_small() -> None:
    report = selfnorm.audit(plain(50, 32), torch.randn(64, 32))
    assert len(report.layers) == 101
    assert len(report.to_html()) < 500_000


def test_a_report_of_broken_numbers_is_still_one() -> None:
    model = plain(3)
    with torch.no_grad():
        model[0].weight[0, 0] = float("nan")
        model[2].weight.fill_(1e30)
    report = selfnorm.audit(model, torch.randn(64, 64))
    assert any(f.rule == "non-finite" for f in report.findings)
    assert "non-finite" in str(report)
    assert report.to_html()
    json.loads(report.to_json())
    report.plot()


def test_what_it_says_of_itself(report: Report) -> None:
    assert repr(report).startswith("Report(ResNet, ")
    assert not report.ok
    assert sum(report.counts().values()) == len(report.findings)


def test_the_figure(report: Report) -> None:
    axes = report.plot().axes
    assert [a.get_title(loc="left") for a in axes] == [
        "Variance by layer", "Gradient by layer", "Units: tau by omega",
    ]  # fmt: skip
    measured = axes[0].lines[-1].get_ydata()
    assert list(measured) == [layer.variance for layer in report.layers]


def test_a_file_that_cannot_be_written(report: Report, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="none"):
        report.to_html(tmp_path / "none" / "report.html")


def test_a_single_linear_layer() -> None:
    report = selfnorm.audit(initialize_(nn.Linear(64, 64)), torch.randn(64, 64))
    assert "1 layer, 64 rows" in str(report)
    assert report.to_html()
