from dataclasses import replace

import pytest

from isthmus.bench.planning import candidates
from isthmus.bench.planning.candidate import ASSUMED, NO_BOTTLENECK
from isthmus.errors import ConfigError


def named(found):
    return {one.name: one for one in found}


def test_device_pictures_points_and_cuts_are_offered(tiny_bundle, make_known):
    found = named(candidates.candidates(tiny_bundle, *make_known(tiny_bundle)))
    assert set(found) == {"local whole", "offload jpeg-75", "offload webp-50", "split all", "split half", "split cut 3"}
    assert sum(stage.value for stage in found["split all"].device.values()) == pytest.approx(4.5e-3)
    assert found["split all"].server["compute"].value == pytest.approx(5e-3)
    assert found["split cut 3"].marks[0] == NO_BOTTLENECK


def test_a_network_of_the_devices_own_is_offered_beside_the_unsplit_one(make_tiny_bundle, make_known):
    bundle = make_tiny_bundle(local=True)
    known, sides = make_known(bundle)
    known = replace(known, local={**known.local, "local": known.local["whole"]})
    found = named(candidates.candidates(bundle, known, sides))
    assert {"local local", "local whole"} <= set(found)


def test_pictures_that_nobody_evaluated_are_taken_to_be_worth_the_unsplit_network(tiny_bundle, make_known):
    found = named(candidates.candidates(tiny_bundle, *make_known(tiny_bundle, pictures=False)))
    assert set(found) & {"offload jpeg-75", "offload webp-50"} == {"offload jpeg-75"}
    picture = found["offload jpeg-75"]
    assert (picture.marks, picture.payload_bytes, picture.metric.value) == ((ASSUMED,), 9000.0, 0.9)


def test_what_a_served_frame_took_counts_before_the_network_alone(tiny_bundle, make_known):
    known, sides = make_known(tiny_bundle)
    measured = sides.server.stages | {"server compute split": sides.device.stages["head"]}
    sides = replace(sides, server=sides.server.model_copy(update={"stages": measured}))
    found = named(candidates.candidates(tiny_bundle, known, sides))
    assert found["split all"].server["compute"].value == pytest.approx(3e-3)


def test_a_table_that_lacks_a_stage_is_refused(tiny_bundle, make_known):
    known, sides = make_known(tiny_bundle)
    fewer = {name: spent for name, spent in sides.device.stages.items() if name != "encode half"}
    sides = replace(sides, device=sides.device.model_copy(update={"stages": fewer}))
    with pytest.raises(ConfigError, match="no stage 'encode half'"):
        candidates.candidates(tiny_bundle, known, sides)


def test_without_a_measured_round_trip_one_is_assumed_and_marked(tiny_bundle, make_known):
    known, sides = make_known(tiny_bundle)
    fewer = {name: spent for name, spent in sides.device.stages.items() if not name.startswith("round trip")}
    sides = replace(sides, device=sides.device.model_copy(update={"stages": fewer}))
    sides = replace(sides, server=sides.device)
    found = named(candidates.candidates(tiny_bundle, known, sides))
    assert candidates.UNMEASURED_TRIP in found["split all"].marks
