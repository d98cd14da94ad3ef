"""The agent with a bundle that has a neural filter."""

import pytest

from isthmus.head.delivery import DeliverySettings
from isthmus.head.link import Link
from isthmus.head.opening import open_agent
from isthmus.head.placement import Split
from isthmus.head.settings import AgentSettings
from isthmus.head.sink import Callback

pytestmark = [pytest.mark.usefixtures("no_threads_left"), pytest.mark.timeout(60)]


def test_dropped_frames_are_entered_and_never_sent(agent_run, make_tiny_bundle, serve, connect, pictures):
    bundle = make_tiny_bundle(filtered=100.0)
    tail = serve(bundle)
    run = agent_run(
        bundle,
        pictures(6),
        link=connect(tail.address, bundle=bundle),
        placement=Split(bundle, filtering=True, audit_share=0.0),
    )
    assert run.go().dropped == {"filter": 6}
    run.assert_every_frame_once(6)
    assert all({"head", "filter"} <= set(record.stages_s) and not record.payload_bytes for record in run.records)


def test_audited_frames_are_answered_and_marked(agent_run, make_tiny_bundle, serve, connect, pictures):
    bundle = make_tiny_bundle(filtered=100.0)
    run = agent_run(
        bundle,
        pictures(6),
        link=connect(serve(bundle).address, bundle=bundle),
        placement=Split(bundle, filtering=True, audit_share=1.0),
        labels=tuple("abcde"),
    )
    assert run.go().answered == 6
    assert all(record.audited and record.as_json()["audited"] for record in run.records)


@pytest.mark.parametrize(
    ("options", "audited"),
    [({}, 8), ({"filtering": False}, None), ({"audit_share": 0.0}, None), ({"placement": "offload"}, None)],
)
def test_the_status_page_knows_what_the_audit_found(make_tiny_bundle, serve, pictures_on_disk, options, audited):
    bundle = make_tiny_bundle(filtered=100.0)
    settings = AgentSettings(
        **{"source": str(pictures_on_disk), "tails": (serve(bundle).address,), "gate": False, "audit_share": 1.0, **options}
    )
    records = []
    with open_agent(bundle, settings, [Callback(records.append)]) as agent:
        agent.run()
        assert agent.facts().get("filter_audited_frames") == audited
    seen = sum(record.classification is not None and record.classification.label != "a" for record in records)
    assert agent.facts().get("filter_missed_frames") == (None if audited is None else seen)


def test_what_must_be_delivered_need_not_be_where_nothing_is_to_be_seen(make_tiny_bundle, serve, pictures_on_disk, tmp_path):
    bundle = make_tiny_bundle(filtered=100.0)
    settings = AgentSettings(
        source=str(pictures_on_disk),
        tails=(serve(bundle).address,),
        gate=False,
        audit_share=0.0,
        delivery=DeliverySettings(folder=tmp_path / "spool"),
    )
    with open_agent(bundle, settings) as agent:
        assert agent.run().dropped == {"filter": 8}
        assert agent.facts()["queue_pictures"] == 0


def test_pictures_that_waited_on_the_disk_are_filtered_too(agent_run, make_tiny_bundle, serve, connect, pictures, tmp_path):
    bundle = make_tiny_bundle(filtered=100.0)
    deliver = DeliverySettings(folder=tmp_path / "queue")
    with Link(bundle, ["127.0.0.1:1"], device_id="camera") as link:
        agent_run(bundle, pictures(3), link=link, deliver=deliver, finish_s=0.3).go()
    run = agent_run(
        bundle,
        pictures(1),
        link=connect(serve(bundle).address, bundle=bundle),
        deliver=deliver,
        placement=Split(bundle, filtering=True, audit_share=0.0),
    )
    assert run.go().dropped == {"filter": 4}
    assert ([record.queued for record in run.records].count(True), run.waits_on_disk()) == (3, 0)
