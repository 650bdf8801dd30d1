"""Container image, compose file and Kubernetes manifests: valid, careful, and of settings that exist.

Nothing is run in a container. What the image runs is run outside of one; all else is checked by schemas and linters.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from pilotdht.cli.program import program
from pilotdht.daemon.config_check import check_settings
from tests.support.daemon_processes import Agent, agents
from tests.support.source import ROOT

DEPLOY = ROOT / "scripts" / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
WORKLOADS = ("StatefulSet", "DaemonSet")


def tool(name: str) -> str:
    """Return a program that stands beside the interpreter, or on the path; skip without it."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: dependency group 'test' has it")
    return found


def run(*words: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run a checker."""
    return subprocess.run(words, capture_output=True, input=stdin, timeout=50, check=False)


def objects() -> list[dict[str, Any]]:
    """Return all objects of the manifests."""
    return [one for path in MANIFESTS for one in yaml.safe_load_all(path.read_text("utf-8"))]


def workloads() -> list[dict[str, Any]]:
    """Return those that run containers."""
    return [one for one in objects() if one["kind"] in WORKLOADS]


def compose() -> dict[str, Any]:
    """Return the compose file, its anchors resolved."""
    loaded = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def test_dockerfile_passes_its_linter() -> None:
    """hadolint, with ShellCheck inside, finds nothing."""
    done = run(tool("hadolint"), str(DEPLOY / "Dockerfile"))
    assert (0, b"") == (done.returncode, done.stdout)


def test_linter_of_dockerfiles_finds_something_where_there_is_something() -> None:
    """The check above can fail."""
    assert run(tool("hadolint"), "-", stdin=b"FROM python\nRUN cd /x && apt-get install curl\n").returncode


def test_image_is_small_and_not_root() -> None:
    """Two stages; a numeric user, a health check, data on a volume, a home inside of it."""
    text = (DEPLOY / "Dockerfile").read_text("utf-8")
    stages = re.split(r"^FROM ", text, flags=re.MULTILINE)[1:]
    last = stages[-1]

    assert 2 == len(stages)
    assert "pip install" not in last
    assert re.search(r"^USER 10001:10001$", last, re.MULTILINE)
    assert 'CMD ["pilotdht", "daemon", "status", "--check"]' in last
    assert re.search(r"PILOTDHT_HOME=/var/lib/pilotdht/\w+", last)
    assert last.index("USER 10001") < last.index("ENTRYPOINT")


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_manifest_obeys_the_schema_of_kubernetes(path: Path) -> None:
    """Each object is valid, with no field that Kubernetes does not know."""
    done = run(tool("kubernetes-validate"), "--strict", str(path))
    assert 0 == done.returncode, done.stdout + done.stderr


def test_schema_of_kubernetes_refuses_an_unknown_field(tmp_path: Path) -> None:
    """The check above can fail."""
    (statefulset,) = [one for one in workloads() if one["kind"] == "StatefulSet"]
    statefulset["spec"]["template"]["spec"]["enableServiceLink"] = False
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump(statefulset))

    assert run(tool("kubernetes-validate"), "--strict", str(path)).returncode


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_manifest_uses_nothing_that_only_some_parsers_know(path: Path) -> None:
    """No anchors and merge keys, and no key twice."""
    text = path.read_text("utf-8")
    assert not re.search(r"(^|\s)(<<:|[&*][A-Za-z])", re.sub(r"#.*", "", text))


def test_compose_file_obeys_its_schema() -> None:
    """The specification's own schema."""
    done = run(tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(DEPLOY / "compose.yaml"))
    assert 0 == done.returncode, done.stdout + done.stderr


def test_compose_mesh_is_a_bootstrap_and_ten_agents() -> None:
    """Each has a name, a volume of its own, and no more rights than it needs."""
    content = compose()
    services = content["services"]
    named = {name: one for name, one in services.items() if name.startswith("agent-")}

    assert 10 == len(named) == len(services) - 1
    for name, service in services.items():
        assert [f"{name}:/var/lib/pilotdht"] == service["volumes"]
        assert name in content["volumes"]
        assert (True, ["ALL"], ["no-new-privileges:true"]) == (
            service["read_only"],
            service["cap_drop"],
            service["security_opt"],
        )
    assert all(name == one["environment"]["PILOTDHT_HOSTNAME"] for name, one in named.items())
    assert all("service_healthy" == one["depends_on"]["bootstrap"]["condition"] for one in named.values())


@pytest.mark.parametrize("name", compose()["services"])
def test_settings_of_the_compose_file_exist(name: str) -> None:
    """A node of the mesh would start with them."""
    reading = check_settings(file=None, environment=compose()["services"][name].get("environment", {}))
    assert () == reading.problems


def test_pods_obey_the_strictest_standard() -> None:
    """Restricted as Kubernetes defines it, but for the one step that gives a folder of the host to the agent."""
    for workload in workloads():
        pod = workload["spec"]["template"]["spec"]
        assert "RuntimeDefault" == pod["securityContext"]["seccompProfile"]["type"]
        assert (False, False) == (pod["automountServiceAccountToken"], pod["enableServiceLinks"])
        for container in pod["containers"]:
            rights = {**pod["securityContext"], **container["securityContext"]}
            assert (True, 10001, False, True, {"drop": ["ALL"]}) == (
                rights["runAsNonRoot"],
                rights["runAsUser"],
                rights["allowPrivilegeEscalation"],
                rights["readOnlyRootFilesystem"],
                rights["capabilities"],
            )
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]
            for probe in ("startupProbe", "livenessProbe"):
                assert ["pilotdht", "daemon", "status", "--check"] == container[probe]["exec"]["command"]
        for first in pod.get("initContainers", []):
            assert {"drop": ["ALL"], "add": ["CHOWN"]} == first["securityContext"]["capabilities"]


def test_identity_on_a_volume_is_not_opened_to_a_group() -> None:
    """Kubernetes would change the mode of every file at each start, and a key that others can read is refused."""
    for workload in workloads():
        context = workload["spec"]["template"]["spec"]["securityContext"]
        assert "fsGroup" not in context or "OnRootMismatch" == context["fsGroupChangePolicy"]


def test_each_bootstrap_pod_has_an_address_and_a_configuration_of_its_own() -> None:
    """A node is its key: nothing may spread datagrams for one over several."""
    (statefulset,) = [one for one in workloads() if one["kind"] == "StatefulSet"]
    pods = {f"{statefulset['metadata']['name']}-{number}" for number in range(statefulset["spec"]["replicas"])}
    services = [one["spec"] for one in objects() if one["kind"] == "Service"]
    outer = [one for one in services if one.get("type") == "LoadBalancer"]
    (config,) = [
        one for one in objects() if one["metadata"]["name"] == "pilotdht-bootstrap" and one["kind"] == "ConfigMap"
    ]

    assert pods == {one["selector"]["statefulset.kubernetes.io/pod-name"] for one in outer}
    assert {"Local"} == {one["externalTrafficPolicy"] for one in outer}
    assert {"UDP"} == {port["protocol"] for one in outer for port in one["ports"]}
    assert {f"{pod}.toml" for pod in pods} == config["data"].keys()


def test_configurations_of_the_manifests_have_nothing_wrong(tmp_path: Path) -> None:
    """Each file, with the variables and options of its containers, is one that a node starts with."""
    files = [text for one in objects() if one["kind"] == "ConfigMap" for text in one["data"].values()]
    path = tmp_path / "config.toml"
    for text in files:
        path.write_text(text)
        assert () == check_settings(file=path, environment={}).problems
    assert 4 == len(files)
    for workload in workloads():
        for container in workload["spec"]["template"]["spec"]["containers"]:
            names = {one["name"] for one in container["env"] if one["name"].startswith("PILOTDHT_")}
            assert {"PILOTDHT_CONFIG"} == names
            assert 0 == CliRunner().invoke(program, [*container["args"], "--help"]).exit_code


def test_policies_select_what_there_is() -> None:
    """Each policy is for pods that exist, lets UDP in, and TCP only from the namespace that watches."""
    labels = {
        (one["metadata"]["namespace"], one["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"])
        for one in workloads()
    }
    policies = [one for one in objects() if one["kind"] == "NetworkPolicy"]

    assert labels == {
        (one["metadata"]["namespace"], one["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"])
        for one in policies
    }
    for policy in policies:
        for rule in policy["spec"]["ingress"]:
            is_open = "from" not in rule
            assert {"UDP" if is_open else "TCP"} == {port["protocol"] for port in rule["ports"]}


@pytest.fixture
def homes(tmp_path: Path) -> Iterator[list[Agent]]:
    """Return the homes of a bootstrap node and three agents."""
    with agents(tmp_path, 4) as made:
        yield made


@pytest.mark.integration
@pytest.mark.timeout(180)
def test_compose_mesh_finds_together_outside_of_containers(homes: list[Agent]) -> None:
    """The same commands and variables, as processes of this machine: agents find one another by name and tag."""
    services = compose()["services"]
    first = homes[0]
    assert ["bootstrap", "run"] == services["bootstrap"]["command"]
    place = ("--listen", "127.0.0.1:0", "--metrics", "")
    with first.beside("--json", "bootstrap", "run", *place, **services["bootstrap"]["environment"]) as process:
        assert process.stdout is not None
        (endpoint,) = json.loads(process.stdout.readline())["data"]["endpoints"]
        for number, home in enumerate(homes[1:], 1):
            variables = {
                **services[f"agent-{number:02d}"]["environment"],
                "PILOTDHT_BOOTSTRAP": endpoint,
                "PILOTDHT_START_TIMEOUT_S": "25",  # returns once it has joined and is published
            }
            done = home.run("daemon", "start", "--listen", "127.0.0.1:0", **variables)
            assert 0 == done.returncode, done.stderr
        assert "agent-02" == homes[1].json("find", "agent-02")["hostname"]
        found = homes[2].json("find", "--tag", "finance")["peers"]
        assert {"agent-01", "agent-03"} == {peer["hostname"] for peer in found}


@pytest.mark.integration
@pytest.mark.timeout(400)
def test_what_the_image_runs_works_outside_of_a_container(tmp_path: Path) -> None:
    """The build's own commands make an environment in an empty place; its program starts there with an empty home."""
    text = (DEPLOY / "Dockerfile").read_text("utf-8")
    build = text.split("\nFROM ")[1]
    command = re.search(r"^RUN (.+?[^\\])$", build, re.MULTILINE | re.DOTALL)
    assert command is not None
    source, place = tmp_path / "source", tmp_path / "environment"
    source.mkdir()
    for words in re.findall(r"^COPY (.+)$", build, re.MULTILINE):
        *names, _ = words.split()
        for name in names:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, source)
    script = command[1].replace("/opt/pilotdht", str(place)).replace("python -m venv", f"{sys.executable} -m venv")
    done = subprocess.run(["sh", "-ec", script], cwd=source, capture_output=True, timeout=350, check=False)
    if b"NewConnectionError" in done.stderr or b"Could not find a version" in done.stderr:
        pytest.skip("no package index can be reached")
    assert 0 == done.returncode, done.stderr.decode()

    home = tmp_path / "home"
    home.mkdir(mode=0o770)
    environment = {"PATH": f"{place}/bin:/usr/bin:/bin", "PILOTDHT_HOME": f"{home}/node", "HOME": str(home)}

    def pilotdht(*words: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["pilotdht", *words], env=environment, cwd=home, capture_output=True, timeout=50, check=False
        )

    process = subprocess.Popen(
        ["pilotdht", "daemon", "run", "--listen", "127.0.0.1:0"],
        env=environment,
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"Daemon running")
        assert 0 == pilotdht("daemon", "status", "--check").returncode
        assert 0 == pilotdht("daemon", "stop").returncode
        _, log = process.communicate(timeout=20)
        assert all(json.loads(line)["level"] != "ERROR" for line in log.splitlines())
    finally:
        process.kill()
        process.wait()
    assert 5 == pilotdht("daemon", "status", "--check").returncode
