import pytest

from isthmus.bench.planning import sides
from isthmus.devices.cost import table as tables
from isthmus.errors import ConfigError


def chosen(bundle, device=None, costs=None, server=None):
    return sides.choose(bundle, device, costs, server, now=lambda: "now")


def test_the_table_beside_the_bundle_is_that_of_both_sides(planned_bundle):
    found = chosen(planned_bundle)
    assert (found.device.kind, found.is_same) == ("measured", True)
    assert "as fast as the device" in found.remarks[0]


def test_a_device_never_measured_is_predicted_and_the_server_is_what_was_measured(planned_bundle):
    found = chosen(planned_bundle, "rpi4")
    assert (found.device.kind, found.server.kind, found.profile.name) == ("predicted", "measured", "rpi4")
    assert "never compared with this runtime on a second device" in found.remarks[0]


def test_a_table_of_the_device_itself_comes_first(planned_bundle, make_table):
    own = make_table(planned_bundle.digest, profile="rpi4", speedup=0.5)
    tables.path_beside(planned_bundle.origin, "rpi4").write_text(own.model_dump_json())
    found = chosen(planned_bundle, "rpi4")
    assert (found.device.kind, found.device.stages["local"].value) == ("measured", 0.12)


def test_the_server_may_be_a_table_or_a_profile(planned_bundle, make_table, tmp_path):
    (tmp_path / "server.json").write_text(make_table(planned_bundle.digest, speedup=4).model_dump_json())
    assert chosen(planned_bundle, server=str(tmp_path / "server.json")).server.device.cpu_model == "Example 4"
    assert chosen(planned_bundle, server="rpi5").server.device.profile == "rpi5"


def test_an_unsteady_table_is_said_to_be_so(planned_bundle, make_table, tmp_path):
    shaky = make_table(planned_bundle.digest, steady=False, unsteady_because=("others worked",))
    (tmp_path / "costs.json").write_text(shaky.model_dump_json())
    assert "unsteady machine: others worked" in chosen(planned_bundle, costs=tmp_path / "costs.json").remarks[0]


def test_costs_of_another_bundle_are_refused(planned_bundle, make_table, tmp_path):
    (tmp_path / "costs.json").write_text(make_table("f" * 64).model_dump_json())
    with pytest.raises(ConfigError, match="costs of contract ffffffffffff"):
        chosen(planned_bundle, costs=tmp_path / "costs.json")


def test_without_any_table_the_command_that_makes_one_is_named(tiny_bundle):
    with pytest.raises(ConfigError, match=r"isthmus bench BUNDLE --profile"):
        chosen(tiny_bundle, "rpi4")
