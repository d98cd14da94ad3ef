import json

from isthmus.contract.models import TAIL, WHOLE, parameters


def test_of_a_tail_clients_are_told_ranges_and_points_of_its_codes(tiny_bundle):
    told = parameters(tiny_bundle.manifest, TAIL)
    assert told["isthmus.contract_digest"] == tiny_bundle.digest
    assert json.loads(told["isthmus.boundary"]) == [{"name": "codes", "shape": [4, 4, 4], "bits": 4, "signed": True}]
    assert json.loads(told["isthmus.points"]) == {"all": [4], "half": [2]}


def test_of_a_whole_network_clients_are_told_how_a_picture_is_prepared(tiny_bundle):
    told = parameters(tiny_bundle.manifest, WHOLE)
    assert json.loads(told["isthmus.preparation"])["width"] == 32
    assert set(told) == {"isthmus.contract_digest", "isthmus.preparation"}


def test_of_a_network_that_takes_no_pictures_only_the_digest_is_told(tiny_bundle):
    assert set(parameters(tiny_bundle.manifest.model_copy(update={"preparation": None}), WHOLE)) == {"isthmus.contract_digest"}
