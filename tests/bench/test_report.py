import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from isthmus.bench.cold_start import ColdStart
from isthmus.bench.content import Fact, Moment, Outcome, ReportContent, Timeline
from isthmus.bench.evaluation import Evaluation
from isthmus.bench.look import looks
from isthmus.bench.report import bundle_facts, machine_facts, render, write_report
from isthmus.bench.results import Latency
from isthmus.contract.bundle import Bundle
from isthmus.devices.detect import Machine
from isthmus.errors import ConfigError

VOID = {"meta", "br", "img", "link", "input", "hr"}
HOSTILE = "<script>alert('x')</script>\"&"


class Page(HTMLParser):
    """Checks that tags close in order, and keeps tags, attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attributes]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attributes]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_every_part_is_in_the_page(content: ReportContent) -> None:
    text = " ".join(Page(render(content)).words)
    wanted = [content.title, content.banner, *content.verdict, *content.commands, *content.notes, "split full", "214 B"]
    wanted += [*content.warnings, "isthmus serve", "webp 224x224", "+5.00 (+3.50 to +6.50) ms"]
    facts = (*content.bundle, *content.machine, *content.summary, *content.conditions)
    wanted += [fact.value for fact in facts] + [gate.name for gate in content.gates]
    missing = [words for words in wanted if words not in text]
    assert missing == []


def test_nothing_is_loaded_from_anywhere(content: ReportContent) -> None:
    html = render(content)
    page = Page(html)
    assert {name for name, _value in page.attributes} & {"src", "href", "xlink:href", "srcset", "data"} == set()
    assert set(page.tags) & {"script", "link", "img", "iframe", "object", "embed", "base"} == set()
    assert not re.search(r"https?://|@import|url\(", html)
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'; img-src data:") in page.attributes


def test_every_drawing_says_in_words_what_it_shows(content: ReportContent) -> None:
    page = Page(render(content))
    told = [value for name, value in page.attributes if name == "aria-label" and value != "Verdict"]
    assert len(told) == page.attributes.count(("role", "img")) == 8
    assert all(len(words) > 40 for words in told)


def test_text_of_others_cannot_become_markup(content: ReportContent) -> None:
    row = content.outcomes[0].row.model_copy(
        update={"placement": HOSTILE, "setting": HOSTILE, "link": HOSTILE, "stages_ms": {HOSTILE: 1.0}, "dropped": {HOSTILE: 1}}
    )
    fact = Fact(name=HOSTILE, value=HOSTILE)
    assert content.timeline is not None
    assert content.evaluation is not None
    assert content.comparison is not None
    rated = content.evaluation.rows[0].model_copy(update={"rival": HOSTILE, "setting": HOSTILE})
    cell = dataclasses.replace(content.comparison.cells[0], row=row)
    changed = ReportContent(
        title=HOSTILE,
        banner=HOSTILE,
        warnings=(HOSTILE,),
        summary=(fact,),
        verdict=(HOSTILE,),
        evaluation=Evaluation(meta={"data": HOSTILE, "rivals": HOSTILE}, rows=(rated, rated)),
        comparison=dataclasses.replace(content.comparison, before=HOSTILE, cells=(cell,)),
        conditions=(fact,),
        cold=(ColdStart(program=HOSTILE),),
        outcomes=(dataclasses.replace(content.outcomes[0], row=row), content.outcomes[1]),
        timeline=dataclasses.replace(content.timeline, subject=HOSTILE, summary=HOSTILE),
        bundle=(fact,),
        files={HOSTILE: 1},
        gates=(content.gates[0].model_copy(update={"name": HOSTILE, "detail": HOSTILE}),),
        machine=(fact,),
        commands=(HOSTILE,),
        notes=(HOSTILE,),
        created=HOSTILE,
    )
    html = render(changed)
    assert "<script" not in html
    assert "script" not in Page(html).tags


def test_a_report_of_nothing_is_a_page() -> None:
    page = Page(render(ReportContent(title="empty")))
    assert "h2" not in page.tags
    assert "table" not in page.tags


def test_energy_stands_beside_its_source_or_is_not_measured(content: ReportContent) -> None:
    energy = {"kind": "modelled", "value": 0.5, "low": None, "high": None, "source": "power model of rpi4", "scope": "board"}
    row = content.outcomes[0].row.model_copy(update={"energy_j": energy})
    words = Page(render(ReportContent(title="t", outcomes=[Outcome(row=row), content.outcomes[1]]))).words
    assert {"500.0 mJ modelled", "power model of rpi4, board", "not measured"} <= set(words)


def unanswered(outcome: Outcome) -> Outcome:
    row = outcome.row.model_copy(update={"latency_ms": Latency(), "stages_ms": {}, "recall": None, "bytes_payload_mean": 0.0})
    return Outcome(row=row)


def test_rows_without_any_answer_are_shown_with_dashes(outcomes: list[Outcome]) -> None:
    page = Page(render(ReportContent(title="t", outcomes=[unanswered(one) for one in outcomes])))
    assert page.words.count("-") == 4 * len(outcomes)


@pytest.mark.parametrize("count", [1, 12])
def test_few_and_many_rows_are_drawn_inside_their_pages(outcomes: list[Outcome], count: int) -> None:
    many = [
        dataclasses.replace(one, row=one.row.model_copy(update={"setting": f"{one.row.setting}-{turn}"}))
        for turn in range(3)
        for one in outcomes
    ][:count]
    html = render(ReportContent(title="t", outcomes=many))
    for box, inside in re.findall(r'<svg viewBox="0 0 (\d+) \d+" role="img"[^>]*>(.*?)</svg>', html, re.DOTALL):
        places = [float(x) for x in re.findall(r' x="([-\d.]+)"', inside)]
        assert 0 <= min(places) <= max(places) <= float(box)


def test_placements_differ_in_colour_and_in_marker(outcomes: list[Outcome]) -> None:
    found = looks(outcomes)
    assert len({look.colour for look in found}) == len({look.marker for look in found}) == len(outcomes)


def test_one_placement_over_two_links_differs_in_its_dash_and_its_name(outcomes: list[Outcome]) -> None:
    other = dataclasses.replace(outcomes[3], row=outcomes[3].row.model_copy(update={"link": "9mbit/5ms"}))
    first, second = looks([outcomes[3], other])
    assert (first.colour, first.marker) == (second.colour, second.marker)
    assert first.dash != second.dash
    assert "split full over 9mbit/5ms" in "".join(Page(render(ReportContent(title="t", outcomes=[outcomes[3], other]))).words)


def test_the_timeline_tells_its_counts() -> None:
    moments = [
        Moment(sequence=0, shown=True, gate_open=True, answered=True, correct=True),
        Moment(sequence=1, shown=True, gate_open=True, answered=True, correct=False),
        Moment(sequence=2, shown=None, gate_open=True, answered=True, correct=None),
        Moment(sequence=3, shown=False, gate_open=False, answered=False, correct=None),
    ]
    html = render(ReportContent(title="t", timeline=Timeline(moments=moments)))
    assert "4 frames in order: 3 passed the gate, 1 were answered right and 1 wrong." in html


def test_a_report_is_written_whole_or_not_at_all(content: ReportContent, tmp_path: Path) -> None:
    write_report(tmp_path / "new" / "report.html", content)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["report.html"]
    assert (tmp_path / "new" / "report.html").read_text(encoding="utf-8").endswith("</html>")
    with pytest.raises(ConfigError, match="cannot write"):
        write_report(tmp_path / "new" / "report.html" / "x.html", content)


def test_facts_of_a_bundle_name_its_digest_and_what_crosses(tiny_bundle: Bundle) -> None:
    facts = {fact.name: fact.value for fact in bundle_facts(tiny_bundle)}
    assert facts["Contract digest"] == tiny_bundle.digest
    assert "of 4 bits" in facts["What crosses"]


def test_facts_of_a_machine_leave_out_what_it_has_not() -> None:
    machine = Machine(
        architecture="aarch64",
        cpu_model="Cortex-A76",
        board=None,
        cores=4,
        memory_bytes=8_000_000_000,
        operating_system="Debian 12",
        kernel="6.6",
        python="3.11.7",
        onnxruntime=None,
        onnxruntime_providers=None,
        onnxruntime_problem=None,
        opencv="4.10",
    )
    facts = {fact.name: fact.value for fact in machine_facts(machine)}
    assert facts["CPU"] == "Cortex-A76, 4 cores used, aarch64"
    assert facts["onnxruntime"] == "missing"
    assert "Board" not in facts


WIDEST = "Math.max(...[...document.querySelectorAll('main *')].filter(e => %s).map(e => e.getBoundingClientRect().right))"
"""The right edge of what reaches furthest."""


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_shows_it_without_a_complaint_and_no_wider_than_its_window(content, browse, tmp_path, width):
    write_report(tmp_path / "report.html", content)
    browser = browse()
    browser.show(width=width, height=900)
    browser.open((tmp_path / "report.html").as_uri())
    browser.wait("document.querySelector('main')")
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate(WIDEST % "!e.closest('.scroll')") <= width
    assert browser.complaints == []
    assert browser.requests == [(tmp_path / "report.html").as_uri()]


@pytest.mark.slow
def test_on_paper_nothing_is_cut_off(content, browse, tmp_path):
    write_report(tmp_path / "report.html", content)
    browser = browse()
    paper_px = 700  # A4 without its margins
    browser.show(width=paper_px, height=1000)
    browser.do("Emulation.setEmulatedMedia", media="print")
    browser.open((tmp_path / "report.html").as_uri())
    browser.wait("document.querySelector('main')")
    assert (
        browser.evaluate("Math.max(...[...document.querySelectorAll('main *')].map(e => e.getBoundingClientRect().right))")
        <= paper_px
    )
    browser.print_pdf(tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")


def test_a_row_that_is_no_result_says_so_beside_its_name(content: ReportContent) -> None:
    row = content.outcomes[0].row.model_copy(update={"unsteady": ("it fell behind",), "rate_per_s": 12.0})
    words = Page(render(ReportContent(title="t", outcomes=[Outcome(row=row), content.outcomes[1]]))).words
    assert words.count("unsteady, no result") == 1
    assert "12" in words
