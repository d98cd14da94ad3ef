from isthmus.devices.sensors.pressure import Pressure, look

TEXT = "some avg10={} avg60=1.00 avg300=0.50 total={}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0"


def test_shares_and_totals_are_read(tree):
    found = look(tree({"proc/pressure/cpu": TEXT.format("12.50", 2_000_000), "proc/pressure/memory": TEXT.format("0.00", 0)}))
    assert found == {"cpu": Pressure(share=0.125, waited_s=2.0), "memory": Pressure(share=0.0, waited_s=0.0)}


def test_a_kernel_without_it_tells_nothing(tree):
    assert look(tree({"proc/pressure/cpu": "garbage"})) == {}
