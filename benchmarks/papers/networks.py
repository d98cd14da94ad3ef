"""Networks to be measured, with random weights, as factories for `isthmus export`.

Ten classes, as the photos have: a thousand logits are 4 kB that come back with every answer, 128 ms at 250 kbit/s.
"""

import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1]
CLASSES = 10


def resnet50() -> Any:
    """ResNet-50 at 224 pixels."""
    library, classifier = _zoo()
    return classifier(library.ResNetForImageClassification, library.ResNetConfig(num_labels=CLASSES))


def mobilenet_v2() -> Any:
    """MobileNetV2 at 224 pixels."""
    library, classifier = _zoo()
    return classifier(library.MobileNetV2ForImageClassification, library.MobileNetV2Config(num_labels=CLASSES))


def _zoo() -> tuple[Any, Any]:
    """The modules of the zoo find each other from the folder `benchmarks`."""
    if str(FOLDER) not in sys.path:
        sys.path.insert(0, str(FOLDER))
    from zoo import architectures

    return architectures.library, architectures.classifier
