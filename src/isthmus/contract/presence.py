"""Does an answer say that there is something to see?"""

from collections.abc import Collection

from isthmus.contract.classification import Classification
from isthmus.contract.detection import Detection
from isthmus.contract.filter import Presence


def sees(presence: Presence, classification: Classification | None, detections: Collection[Detection] | None) -> bool:
    """Whether an answer counts as something.

    Args:
        presence: what counts.
        classification: of a classifier; a class of the wrong kind of network counts as nothing.
        detections: of a detector.
    """
    if presence.kind == "classes":
        return classification is not None and classification.label not in presence.names
    return any(
        found.score >= presence.score_min and (not presence.names or found.label in presence.names) for found in detections or ()
    )
