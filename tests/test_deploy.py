"""What the files in deploy/ ask of the server exists there."""

import json
import re
from pathlib import Path

import pytest
import yaml

from isthmus.tail.watching.families import FAMILIES, PROCESS

ROOT = Path(__file__).resolve().parents[1] / "deploy"
DASHBOARD = json.loads((ROOT / "grafana/isthmus-tail.json").read_text(encoding="utf-8"))
RULES = yaml.safe_load((ROOT / "prometheus/isthmus.rules.yml").read_text(encoding="utf-8"))
PANELS = DASHBOARD["panels"]
SERIES = {name: family for family in FAMILIES + PROCESS for name in family.series}
OF_THE_SCRAPE = {"job", "instance", "le"}
WORDS = {"by", "sum", "min", "rate", "increase", "histogram_quantile", "up"}


def queries():
    for panel in PANELS:
        yield from (target["expr"] for target in panel["targets"])
    for variable in DASHBOARD["templating"]["list"]:
        yield from re.findall(r"label_values\((.*), \w+\)", variable.get("definition", ""))
    for group in RULES["groups"]:
        yield from (rule["expr"] for rule in group["rules"])


def without_strings(query):
    return re.sub(r'"[^"]*"|\[[^]]*\]', "", query)


def names(query):
    """What a query calls metrics: words outside of braces and of lists of labels."""
    bare = re.sub(r"\{[^}]*\}|by \([^)]*\)", "", without_strings(query))
    return set(re.findall(r"[a-z_]{2,}", bare)) - WORDS


def labels(query):
    bare = without_strings(query)
    selected, grouped = (",".join(re.findall(pattern, bare)) for pattern in (r"\{([^}]*)\}", r"by \(([^)]*)\)"))
    return set(re.findall(r"(\w+)\s*(?:=|!)", selected)) | set(re.findall(r"\w+", grouped))


@pytest.mark.parametrize("query", sorted(set(queries())))
def test_a_query_names_metrics_and_labels_that_exist(query):
    asked = names(query)
    assert asked <= SERIES.keys(), asked - SERIES.keys()
    assert asked or "up{" in query
    known = set().union(*(SERIES[name].labels for name in asked)) | OF_THE_SCRAPE
    assert labels(query) <= known, labels(query) - known


@pytest.mark.parametrize("query", sorted(set(queries())))
def test_brackets_close_and_counters_are_never_shown_bare(query):
    bare = re.sub(r'"[^"]*"', "", query)
    assert [bare.count(one) for one in "([{"] == [bare.count(one) for one in ")]}"]
    for name in names(query):
        if SERIES[name].kind != "gauge":
            assert re.search(rf"(rate|increase)\({name}", query), name


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_is_what_grafana_takes(panel):
    assert panel["type"] in ("timeseries", "stat", "table")
    assert panel["gridPos"].keys() == {"x", "y", "w", "h"}
    assert 0 < panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
    assert [target["refId"] for target in panel["targets"]] == list("ABCDEF")[: len(panel["targets"])]
    assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}
    for target in panel["targets"]:
        named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        assert named <= labels(target["expr"]), "a legend can show only what the query keeps"


def test_panels_have_ids_of_their_own_and_do_not_overlap():
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in PANELS)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)


def test_every_variable_that_a_query_uses_is_declared():
    declared = {variable["name"] for variable in DASHBOARD["templating"]["list"]} | {"__rate_interval"}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(PANELS)))
    assert used <= declared
    assert DASHBOARD["schemaVersion"] >= 36


def test_the_scrape_reads_the_rules_beside_it_and_rules_name_its_job():
    scrape = yaml.safe_load((ROOT / "prometheus/prometheus.yml").read_text(encoding="utf-8"))
    assert all((ROOT / "prometheus" / name).exists() for name in scrape["rule_files"])
    jobs = {one["job_name"] for one in scrape["scrape_configs"]}
    asked = {job for group in RULES["groups"] for rule in group["rules"] for job in re.findall(r'job="([^"]*)"', rule["expr"])}
    assert asked == jobs
