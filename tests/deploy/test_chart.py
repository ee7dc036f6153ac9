"""The chart, rendered by Helm's own engine and judged by Kubernetes' own schemas."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.deploy.reading import DEPLOY, SECRETS, image_environment, settings_from
from tests.patience import PATIENCE_S
from tillbell import __version__
from tillbell.config import FIELDS
from tillbell.web.edge import health
from tillbell.web.edge.paths import BASE, CASHIER

CHART = DEPLOY / "helm" / "tillbell"
KUBERNETES = ("1.27", "1.37")  # the oldest that Chart.yaml names, and the newest known
PEER = {"namespaceSelector": {"matchLabels": {"name": "x"}}}
FULL: dict[str, Any] = {
    "image": {"repository": "registry.example/tillbell", "digest": "sha256:" + "0" * 64},
    "imagePullSecrets": [{"name": "pull"}],
    "settings": {"public_url": "https://hooks.example", "max_body_bytes": 2_097_152},
    "worker": {
        "replicas": 5,
        "podAnnotations": {"a": "b"},
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"operator": "Exists"}],
    },
    "drainSeconds": 90,
    "ingress": {
        "enabled": True, "className": "nginx", "annotations": {"a": "b"},
        "host": "hooks.example", "tlsSecret": "tls",
    },
    "networkPolicy": {"clients": [PEER], "monitoring": [PEER], "database": [PEER]},
    "podMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
}  # fmt: skip
Manifest = dict[str, Any]


@cache
def answer(values: str) -> dict[str, Any]:
    """Return what Helm makes of values; JSON, so that each is rendered once."""
    if find_spec("helm_python") is None:
        pytest.skip("no Helm: its wheel is not made for this machine")
    asked = [{"chart": str(CHART), "name": "shop", "values": json.loads(values)}]
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("render.py")],
        input=json.dumps(asked), capture_output=True, text=True, timeout=PATIENCE_S, check=True,
    )  # fmt: skip
    (found,) = json.loads(done.stdout)
    return dict(found)


def rendered(values: dict[str, Any]) -> list[Manifest]:
    """Return the manifests."""
    found = answer(json.dumps(values))
    assert "error" not in found, found["error"]
    texts = [text for name, text in found["files"].items() if name.endswith(".yaml")]
    return [one for text in texts for one in yaml.safe_load_all(text) if one]


def of_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    """Return those of one kind."""
    return [one for one in manifests if one["kind"] == kind]


def pods(values: dict[str, Any]) -> dict[str, Manifest]:
    """Return role → what its pods are."""
    found = of_kind(rendered(values), "Deployment")
    return {one["metadata"]["name"].rpartition("-")[2]: one["spec"]["template"] for one in found}


BOTH = pytest.mark.parametrize("values", [{}, FULL], ids=["as it is", "with everything"])


@BOTH
def test_helm_finds_nothing_wrong(values: dict[str, Any]) -> None:
    found = answer(json.dumps(values))
    assert "error" not in found, found["error"]
    assert not [one for one in found["lint"]["messages"] if one["severity"] > 1]
    assert not found["lint"]["errors"]


@BOTH
@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_knows_every_word(values: dict[str, Any], version: str) -> None:
    ours = [one for one in rendered(values) if one["kind"] != "PodMonitor"]  # of the operator
    assert len(ours) == (9 if values else 8)
    for manifest in ours:
        kubernetes_validate.validate(manifest, version, strict=True)


def test_a_word_that_kubernetes_does_not_know_is_found() -> None:
    (service,) = of_kind(rendered({}), "Service")
    service["spec"]["selectors"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(service, KUBERNETES[0], strict=True)


@BOTH
@pytest.mark.parametrize("role", ["api", "worker"])
def test_a_pod_is_restricted(values: dict[str, Any], role: str) -> None:
    """Source: Kubernetes, Pod Security Standards, profile restricted."""
    pod = pods(values)[role]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10_001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {kind for volume in pod["volumes"] for kind in volume} == {"name", "emptyDir", "secret"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)


@BOTH
@pytest.mark.parametrize("role", ["api", "worker"])
def test_what_a_pod_is_given_are_settings(
    values: dict[str, Any], role: str, tmp_path: Path
) -> None:
    pod = pods(values)[role]["spec"]
    (container,) = pod["containers"]
    given = {one["name"]: one["value"] for one in container["env"]}
    settings = settings_from({**image_environment(), **given}, tmp_path)
    assert settings.role == role
    assert settings.database_url == SECRETS["database_url"]
    assert (settings.admin_key is not None) is (role == "api")
    assert settings.drain_timeout_s + 10 <= pod["terminationGracePeriodSeconds"]
    assert str(settings.data_dir) in {mount["mountPath"] for mount in container["volumeMounts"]}
    assert settings.disk_reserve_mb == 0
    if values:
        assert settings.public_url == "https://hooks.example"
        assert settings.max_body_bytes == 2_097_152


@pytest.mark.parametrize("role", ["api", "worker"])
def test_a_pod_has_the_secrets_that_it_reads_and_no_others(role: str) -> None:
    pod = pods({})[role]["spec"]
    (secret,) = [volume["secret"] for volume in pod["volumes"] if "secret" in volume]
    (mount,) = [one for one in pod["containers"][0]["volumeMounts"] if one["name"] == "secrets"]
    placed = {f"{mount['mountPath']}/{item['path']}" for item in secret["items"]}
    env = pod["containers"][0]["env"]
    assert placed == {one["value"] for one in env if one["name"].endswith("_FILE")}


def test_kubernetes_adds_no_variable_that_looks_like_a_setting() -> None:
    assert all(pod["spec"]["enableServiceLinks"] is False for pod in pods({}).values())


def test_health_is_asked_where_it_is() -> None:
    for role, pod in pods({}).items():
        (container,) = pod["spec"]["containers"]
        asked = {
            name.removesuffix("Probe"): probe["httpGet"]["path"]
            for name, probe in container.items()
            if name.endswith("Probe")
        }
        assert set(asked) == {"startup", "liveness", "readiness"}
        assert set(asked.values()) <= health.PATHS
        assert asked["liveness"] == "/livez"  # a restart does not bring a database back
        assert asked["readiness"] == {"api": "/readyz", "worker": "/livez"}[role]


@BOTH
def test_what_points_at_pods_finds_them(values: dict[str, Any]) -> None:
    manifests = rendered(values)
    labels = {role: pod["metadata"]["labels"] for role, pod in pods(values).items()}

    def found(selector: dict[str, str]) -> set[str]:
        return {role for role, has in labels.items() if selector.items() <= has.items()}

    (service,) = of_kind(manifests, "Service")
    assert found(service["spec"]["selector"]) == {"api"}
    for kind, key in (("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")):
        for one in of_kind(manifests, kind):
            role = one["metadata"]["name"].rpartition("-")[2]
            assert found(one["spec"][key]["matchLabels"]) == {role}
    for one in of_kind(manifests, "PodMonitor"):
        assert found(one["spec"]["selector"]["matchLabels"]) == {"api", "worker"}


def test_the_world_reaches_the_api_and_not_what_is_for_machines() -> None:
    (ingress,) = of_kind(rendered(FULL), "Ingress")
    open_ = [one["path"] for one in ingress["spec"]["rules"][0]["http"]["paths"]]
    for path in (BASE, "/api/webhooks/stripe", CASHIER):
        assert [start for start in open_ if path.startswith(f"{start}/")], path
    assert not [path for path in health.PATHS for start in open_ if path.startswith(start)]


def test_workers_reach_the_world_and_nothing_inside() -> None:
    policies = {
        one["metadata"]["name"].rpartition("-")[2]: one["spec"]
        for one in of_kind(rendered({}), "NetworkPolicy")
    }
    assert policies["worker"]["ingress"] is None  # an empty list: nobody
    blocks = [
        peer["ipBlock"]
        for rule in policies["worker"]["egress"]
        for peer in rule.get("to", ())
        if "ipBlock" in peer
    ]
    assert {block["cidr"] for block in blocks} == {"0.0.0.0/0", "::/0"}
    refused = {cidr for block in blocks for cidr in block["except"]}
    assert {"169.254.0.0/16", "10.0.0.0/8", "fc00::/7"} <= refused


@pytest.mark.parametrize(
    "values",
    [
        {"workers": {"replicas": 3}},
        {"settings": {"Public_URL": "x"}},
        {"settings": {"admin_key": "x"}},
        {"image": {"repository": "tillbell", "tag": "latest"}},
        {"ingress": {"enabled": True}},
    ],
    ids=str,
)
def test_values_that_would_do_nothing_or_harm_are_refused(values: dict[str, Any]) -> None:
    assert "error" in answer(json.dumps(values))


def test_what_the_chart_keeps_to_itself_are_settings() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    kept = schema["properties"]["settings"]["propertyNames"]["not"]["enum"]
    assert set(kept) <= set(FIELDS)
    secret = {name for name, one in FIELDS.items() if "Secret" in str(one.type)}
    assert secret <= set(kept)


def test_the_chart_is_of_this_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)
