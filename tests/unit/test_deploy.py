"""What is under server/deploy, as far as it can be checked without an engine."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from hookpost_server.app import RECORD_TIMEOUT
from hookpost_server.config import Config
from hookpost_server.domain import addresses

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "server" / "deploy"
UNIT = DEPLOY / "systemd" / "hookpost.service"
CHART = DEPLOY / "helm" / "hookpost"
TEMPLATES = sorted((CHART / "templates").glob("*.yaml"))
# Named already, though this server does not read them yet.
CLIENT = {"HOOKPOST_API_KEY", "HOOKPOST_API_KEY_FILE"}  # what callers set
KNOWN = {variable for variable, _, _ in Config().table()}


def test_only_settings_that_exist_are_named() -> None:
    for file in [ROOT / "SECURITY.md", *(each for each in DEPLOY.rglob("*") if each.is_file())]:
        named = set(re.findall(r"\bHOOKPOST_[A-Z_]*[A-Z]\b", file.read_text()))
        assert named <= KNOWN | CLIENT, file


# systemd


def settings(section: str) -> dict[str, list[str]]:
    """Each setting of the unit with its values in order."""
    found: dict[str, list[str]] = {}
    body = UNIT.read_text().partition(f"[{section}]\n")[2].partition("\n[")[0]
    for line in body.splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def test_the_unit_leaves_time_to_stop_and_hands_secrets_over_as_files() -> None:
    service = settings("Service")
    assert int(service["TimeoutStopSec"][0]) >= Config().shutdown_grace + RECORD_TIMEOUT + 15
    assert {each.partition(":")[0] for each in service["LoadCredential"]} == {"master.key", "pgpass"}
    assert not any("KEY=" in each or "PASSWORD" in each for each in service["Environment"])
    assert service["DynamicUser"] == ["yes"]


def test_the_unit_denies_what_is_never_called() -> None:
    denied = {each for line in settings("Service")["IPAddressDeny"] for each in line.split()}
    assert denied == {str(network) for network in addresses.NEVER}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd")
def test_systemd_finds_the_unit_well_guarded(tmp_path: Path) -> None:
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(UNIT)], capture_output=True, text=True
    )
    assert rated.returncode == 0, rated.stdout[-2000:] + rated.stderr
    runnable = tmp_path / UNIT.name
    runnable.write_text(UNIT.read_text().replace("/opt/hookpost/.venv/bin/hookpost", "/bin/true"))
    verified = subprocess.run(["systemd-analyze", "verify", str(runnable)], capture_output=True, text=True)
    assert "hookpost.service" not in verified.stderr, verified.stderr


# The image


def test_the_image_is_pinned_and_has_no_root() -> None:
    lines = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    images = [line.split()[1] for line in lines if line.startswith("FROM ")]
    assert len(images) == 2
    assert all(re.fullmatch(r"[a-z]+:\d+\.\d+\.\d+-[\w-]+", image) for image in images)
    last = lines[max(number for number, line in enumerate(lines) if line.startswith("FROM ")) :]
    (user,) = (line.split()[1] for line in last if line.startswith("USER "))
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", user)
    assert not any(line.startswith("RUN ") for line in last), "the image that runs is only copied together"
    assert any(line.startswith("HEALTHCHECK ") for line in last)
    for name in ("ENTRYPOINT", "CMD"):
        assert any(line.startswith(f"{name} [") for line in last), "without a shell"
    installs = [line for line in lines if "pip install" in line]
    assert all("--require-hashes" in line or "--no-deps" in line for line in installs)


def test_what_the_image_copies_is_there() -> None:
    for line in (DEPLOY / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert (ROOT / source).exists(), source


# Kubernetes


def values() -> dict[str, Any]:
    return yaml.safe_load((CHART / "values.yaml").read_text())  # type: ignore[no-any-return]


def value_of(path: str) -> Any:
    found: Any = values()
    for name in path.split("."):
        found = found[name]
    return found


def test_every_value_of_the_templates_exists_and_is_used() -> None:
    text = "".join(template.read_text() for template in TEMPLATES)
    used = set(re.findall(r"\.Values\.([A-Za-z0-9_.]+)", text))
    for path in used:
        value_of(path)
    assert {path.partition(".")[0] for path in used} == set(values())


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda file: file.name)
def test_blocks_are_closed(template: Path) -> None:
    depth = 0
    for verb in re.findall(r"\{\{-? *(if|range|with|define|end)\b", template.read_text()):
        depth += -1 if verb == "end" else 1
        assert depth >= 0
    assert depth == 0


def manifest(name: str) -> dict[str, Any]:
    """A template with every block kept and every value "x": enough to read what stands around them."""
    text = (CHART / "templates" / name).read_text()
    text = re.sub(r"^\s*\{\{-? *(if|else|end|range|with|include|toYaml)\b.*\n", "", text, flags=re.M)
    text = re.sub(r"\{\{.*?\}\}", "x", text)
    return yaml.safe_load(text)  # type: ignore[no-any-return]


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda file: file.name)
def test_templates_are_yaml(template: Path) -> None:
    found = manifest(template.name)
    assert found["kind"].lower() == template.stem
    assert found["metadata"]["name"]


def test_the_pod_has_no_rights_and_time_to_stop() -> None:
    pod = manifest("deployment.yaml")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    before = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert before >= 5
    grace = float(values()["settings"]["HOOKPOST_SHUTDOWN_GRACE"])
    assert pod["terminationGracePeriodSeconds"] >= before + grace + RECORD_TIMEOUT + 15
    assert set(values()["settings"]) <= KNOWN
    assert values()["image"]["tag"] != "latest"
    assert values()["resources"]["limits"]["memory"]
    secrets = [each for each in container["env"] if each["name"] == "HOOKPOST_DATABASE_URL"]
    assert list(secrets[0]["valueFrom"]) == ["secretKeyRef"]


def test_the_network_policy_denies_what_the_table_does() -> None:
    """But for documentation's ranges, which lead nowhere."""
    denied = {str(network) for network in (*addresses.DENIED_IPV4, addresses.NEVER[0], addresses.NEVER[1])}
    documentation = {"192.0.2.0/24", "192.88.99.0/24", "198.51.100.0/24", "203.0.113.0/24"}
    assert set(values()["network"]["deniedIPv4"]) == denied - documentation | {"224.0.0.0/4"}
    blocks = [
        block["ipBlock"]
        for rule in manifest("networkpolicy.yaml")["spec"]["egress"]
        for block in rule["to"]
        if "ipBlock" in block
    ]
    (six,) = (block for block in blocks if block["cidr"] == str(addresses.GLOBAL_IPV6))
    assert six["except"] == [str(network) for network in addresses.DENIED_IPV6]


def rendered(*settings: str) -> dict[str, dict[str, Any]]:
    """By kind, what Helm makes of the chart."""
    command = ["helm", "template", "hookpost", str(CHART), "--kube-version", "1.31.0"]
    made = subprocess.run(command + [f"--set={each}" for each in settings], check=True, capture_output=True, text=True)
    return {each["kind"]: each for each in yaml.safe_load_all(made.stdout) if each}


@pytest.mark.skipif(
    shutil.which("helm") is None, reason="needs helm: `go install helm.sh/helm/v3/cmd/helm@latest` makes it"
)
def test_helm_renders_the_chart_with_and_without_a_console_for_browsers() -> None:
    subprocess.run(["helm", "lint", "--strict", str(CHART)], check=True)

    def environment(made: dict[str, dict[str, Any]]) -> set[str]:
        (container,) = made["Deployment"]["spec"]["template"]["spec"]["containers"]
        return {each["name"] for each in container["env"]}

    def open_ports(made: dict[str, dict[str, Any]]) -> list[set[str]]:
        let_in = {port["port"] for rule in made["NetworkPolicy"]["spec"]["ingress"] for port in rule["ports"]}
        return [let_in, {port["name"] for port in made["Service"]["spec"]["ports"]}]

    bare = rendered()
    assert "Ingress" not in bare
    assert open_ports(bare) == [{"grpc", "metrics"}, {"grpc"}]
    assert "HOOKPOST_INSECURE_BEHIND_PROXY" in environment(bare)
    assert not environment(bare) & {"HOOKPOST_CONSOLE_ADDRESS", "HOOKPOST_TLS_CERT"}
    assert "HOOKPOST_INSECURE_BEHIND_PROXY" not in environment(rendered("tls.secretName=certificate"))
    full = rendered("tls.secretName=certificate", "console.hosts={a.example.com,b.example.com}")
    assert [each["host"] for each in full["Ingress"]["spec"]["rules"]] == ["a.example.com", "b.example.com"]
    assert full["Ingress"]["spec"]["tls"] == [{"hosts": ["a.example.com", "b.example.com"]}]
    assert open_ports(full) == [{"grpc", "metrics", "console"}, {"grpc", "console"}]
    proxied = {"HOOKPOST_CONSOLE_ADDRESS", "HOOKPOST_CONSOLE_HOSTS", "HOOKPOST_INSECURE_BEHIND_PROXY"}
    assert environment(full) >= proxied | {"HOOKPOST_TLS_CERT"}
