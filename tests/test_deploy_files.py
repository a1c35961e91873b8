"""The files of deploy/: valid for Kubernetes, whole, and without a secret or an open door."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from ruamel.yaml import YAML

DEPLOY = Path(__file__).parents[1] / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").rglob("*.yaml"))
KUBERNETES = "1.33"
COMPOSE = YAML(typ="safe").load((DEPLOY / "compose.yaml").read_text("utf-8"))
SECRETS = set(re.findall(r"^(\w+)=$", (DEPLOY / "example.env").read_text("utf-8"), re.MULTILINE))


def documents(path: Path) -> list[Any]:
    return list(YAML(typ="safe").load_all(path.read_text("utf-8")))


def containers(document: Any) -> Iterator[Any]:
    yield from document.get("spec", {}).get("template", {}).get("spec", {}).get("containers", [])


KUSTOMIZATION = documents(DEPLOY / "kubernetes" / "kustomization.yaml")[0]


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_manifests_are_valid(path: Path) -> None:
    for document in documents(path):
        if path.name != "kustomization.yaml":
            kubernetes_validate.validate(document, KUBERNETES, strict=True)


def test_every_manifest_and_file_is_part_of_the_whole() -> None:
    for path in MANIFESTS:
        if path.name == "kustomization.yaml":
            resources = {other.name for other in path.parent.glob("*.yaml")} - {path.name}
            assert set(documents(path)[0]["resources"]) == resources
    for generator in KUSTOMIZATION["configMapGenerator"]:
        for entry in generator.get("files", []):
            assert (DEPLOY / "kubernetes" / entry.partition("=")[2]).is_file()


def test_secrets_come_from_outside_and_are_asked_for() -> None:
    """Every secret that a manifest or the compose file refers to stands in example.env, empty."""
    asked = set()
    for path in MANIFESTS:
        for document in documents(path):
            for container in containers(document):
                for variable in container.get("env", []):
                    if reference := variable.get("valueFrom", {}).get("secretKeyRef"):
                        asked.add(reference["key"])
    assert asked == SECRETS
    text = (DEPLOY / "compose.yaml").read_text("utf-8")
    assert set(re.findall(r"\$\{(\w+):\?\}", text)) == SECRETS
    assert not re.search(r"\$\{\w+(?::-|\})", text), "a secret with a default, or without a check"


def test_compose_opens_ports_on_loopback_alone() -> None:
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]
    assert len(ports) == 2
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_services_depend_on_services_that_tell_their_health() -> None:
    services = COMPOSE["services"]
    for service in services.values():
        for name, how in service.get("depends_on", {}).items():
            healthy = how["condition"] == "service_healthy"
            assert ("healthcheck" in services[name]) or not healthy


def test_both_servers_ask_for_a_password() -> None:
    services = COMPOSE["services"]
    assert "PREFECT_SERVER_API_AUTH_STRING" in services["prefect"]["environment"]
    assert "basic-auth" in services["mlflow"]["command"]
    by_name = {
        document["metadata"]["name"]: next(containers(document))
        for path in MANIFESTS
        for document in documents(path)
        if document["kind"] == "Deployment"
    }
    names = {variable["name"] for variable in by_name["prefect"]["env"]}
    assert "PREFECT_SERVER_API_AUTH_STRING" in names
    assert "basic-auth" in by_name["mlflow"]["args"]


@pytest.mark.parametrize("name", ["prefect", "mlflow", "worker"])
def test_commands_have_the_options_they_are_given(name: str) -> None:
    command = [str(word) for word in COMPOSE["services"][name]["command"]]
    command = command[command.index("mlflow") :] if name == "mlflow" else command
    words = [word for word in command if not word.startswith("-")]
    options = [word for word in command if word.startswith("--")]
    program = [sys.executable, "-m", words[0], *words[1 : 2 if name == "mlflow" else 3]]
    found = subprocess.run([*program, "--help"], capture_output=True, text=True, check=True).stdout
    missing = [option for option in options if option not in found]
    assert not missing, shlex.join(program)


@pytest.mark.parametrize("name", ["databases.sh", "mlflow-auth.sh", "kubernetes/nodes/pod.sh"])
def test_scripts_are_scripts(name: str) -> None:
    subprocess.run(["sh", "-n", str(DEPLOY / name)], check=True)


def test_pods_of_several_nodes_agree_on_their_number_and_reach_no_other_pod() -> None:
    kinds = {entry["kind"]: entry for entry in documents(DEPLOY / "kubernetes/nodes/nodes.yaml")}
    replicas = kinds["StatefulSet"]["spec"]["replicas"]
    pods = [f"worker-nodes-{number}" for number in range(replicas)]
    assert [rule["resourceNames"] for rule in kinds["Role"]["rules"]] == [pods, pods]
    (container,) = containers(kinds["StatefulSet"])
    variables = {variable["name"]: variable.get("value") for variable in container["env"]}
    python, script, count = shlex.split(variables["CURRICLE_LAUNCHER"])
    assert (python, count) == ("python", str(replicas))
    for path in (script, container["command"][-1]):
        assert (DEPLOY / Path(path).relative_to("/opt/curricle/deploy")).is_file()
    assert "components" not in KUSTOMIZATION, "nobody has them who doesn't ask for them"
