import pytest

from isthmus.errors import UsageError
from isthmus.export.detectors import labels


def test_coco_has_80_names_in_the_order_of_every_yolo():
    assert len(set(labels.COCO)) == 80
    assert [labels.COCO[index] for index in (0, 2, 16, 39, 79)] == ["person", "car", "dog", "bottle", "toothbrush"]


def test_names_are_read_line_by_line(tmp_path):
    (tmp_path / "names.txt").write_text("red square\r\nbl\u00e5\n\n")
    assert labels.read(tmp_path / "names.txt") == ("red square", "bl\u00e5")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "holds no names"),
        (b"one\n\ntwo\n", "line 2 is empty"),
        (b"x" * 500, "line 1 is too long"),
        (b"\xff\xfe\x00", "not UTF-8"),
    ],
)
def test_what_is_no_list_of_names_is_refused(tmp_path, content, words):
    (tmp_path / "names.txt").write_bytes(content)
    with pytest.raises(UsageError, match=words):
        labels.read(tmp_path / "names.txt")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"names.txt cannot be read"):
        labels.read(tmp_path / "names.txt")


def test_names_of_the_user_come_before_those_of_the_model_and_cocos():
    assert labels.for_classes(2, ("a", "b"), ("c", "d")) == ("a", "b")
    assert labels.for_classes(2, (), ("c", "d")) == ("c", "d")
    assert labels.for_classes(80, (), ("c", "d")) == labels.COCO
    assert labels.for_classes(3, (), ("c", "d")) == ()


def test_another_number_of_names_is_refused():
    with pytest.raises(UsageError, match="3 names, the network tells 2 classes apart"):
        labels.for_classes(2, ("a", "b", "c"), ())
