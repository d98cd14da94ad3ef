import xml.etree.ElementTree as ElementTree

import pytest

from isthmus.bench import cut_chart
from isthmus.errors import UsageError
from isthmus.export.cutting.cuts import Cut

SVG = "{http://www.w3.org/2000/svg}"


def make_cut(index, *, tensors=1, size=1000, share=0.3):
    names = tuple(f"<t{index}.{number}>" for number in range(tensors))
    shapes = (("batch", size // 4 // tensors),) * tensors
    facts = {"tensors": names, "operator": "Relu", "node": f"n{index}", "shapes": shapes, "dtypes": ("FLOAT",) * tensors}
    sizes = {"bytes": size, "values": None if size is None else size // 4}
    return Cut(index=index, **facts, **sizes, flops_before=index, flops_share=share, parameters_before=0)


CUTS = [make_cut(0, size=9000, share=0.1), make_cut(1, tensors=2), make_cut(2, tensors=5), make_cut(3, size=400, share=0.6)]


def draw(**changes):
    facts = {"input_bytes": 5000, "automatic": CUTS[3], "max_tensors": 4}
    return ElementTree.fromstring(cut_chart.draw("net", CUTS, **facts | changes))


def test_the_picture_is_one_sound_svg_that_loads_nothing():
    root = draw()
    assert root.tag == f"{SVG}svg"
    assert not [element for element in root.iter() if "href" in " ".join(element.attrib)]
    assert "url(" not in root.find(f"{SVG}style").text


def test_every_cut_of_few_tensors_is_marked_and_tells_its_name():
    tips = [path.findtext(f"{SVG}title") for path in draw().iter(f"{SVG}path") if path.get("class") == "mark"]
    told = [tip for tip in tips if tip]
    assert sorted(tip.partition(":")[0] for tip in told) == ["0", "1", "3"]
    assert "3: <t3.0> after Relu, 400 B at 60.0% of the FLOPs" in told


def test_the_input_and_auto_are_named():
    words = [text.text for text in draw().iter(f"{SVG}text")]
    assert "input, 5.00 kB" in words
    assert "auto: <t3.0>, 400 B" in words


def test_without_auto_and_input_neither_is_drawn():
    words = " ".join(text.text for text in draw(automatic=None, input_bytes=0).iter(f"{SVG}text"))
    assert "auto" not in words
    assert "input" not in words


def test_a_smaller_cut_lies_lower():
    marks = {path.findtext(f"{SVG}title"): path.get("d") for path in draw().iter(f"{SVG}path") if path.get("class") == "mark"}
    heights = {tip[0]: float(data.split("a")[0].split()[1]) for tip, data in marks.items() if tip and tip[0] in "03"}
    assert heights["3"] > heights["0"]


def test_cuts_of_unknown_size_cannot_be_drawn():
    unknown = Cut(
        index=0, tensors=("t",), operator="Relu", node="n", shapes=(("batch", "width"),), dtypes=("FLOAT",), bytes=None,
        values=None, flops_before=0, flops_share=0.0, parameters_before=0,
    )  # fmt: skip
    with pytest.raises(UsageError, match="the cuts of net have no known size"):
        cut_chart.draw("net", [unknown], input_bytes=0, automatic=None, max_tensors=4)
