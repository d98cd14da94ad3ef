"""Names of classes: from a file, or well-known lists."""

from pathlib import Path

from isthmus.errors import UsageError

COCO = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow",
    "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee",
    "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket",
    "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange",
    "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed",
    "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven",
    "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip
"""The 80 classes of COCO in the order in which every YOLO has them (COCO's own numbers have gaps)."""

LONGEST_NAME = 200
"""Characters; what is longer is not a list of names."""


def read(path: Path) -> tuple[str, ...]:
    """Read names from a text file, one a line; empty lines at the end do not count.

    Raises:
        UsageError: the file cannot be read, is empty, has an empty line between names, or is no list of names.
    """
    try:
        lines = path.read_text(encoding="utf-8").rstrip().splitlines()
    except OSError as error:
        raise UsageError(f"--labels {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"--labels {path} is not UTF-8 text; give one name a line") from error
    names = tuple(line.strip() for line in lines)
    if not names:
        raise UsageError(f"--labels {path} holds no names; give one a line")
    for number, name in enumerate(names, start=1):
        if not name or len(name) > LONGEST_NAME:
            raise UsageError(f"--labels {path}: line {number} {'is empty' if not name else 'is too long'}; give one name a line")
    return names


def for_classes(classes: int, given: tuple[str, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    """Names for a number of classes.

    Args:
        classes: how many the network tells apart.
        given: by the user; empty if none.
        known: by the model's own configuration; empty if none.

    Returns:
        `given`, else `known` where it fits, else COCO's for 80; else nothing, and classes are called by their numbers.

    Raises:
        UsageError: `given` are another number of names.
    """
    if given and len(given) != classes:
        raise UsageError(f"--labels has {len(given)} names, the network tells {classes} classes apart; give one name for each")
    fitting = (names for names in (given, known, COCO) if len(names) == classes)
    return next(fitting, ())
