"""The files for work pools, containers and systemd: each names what is there."""

import configparser
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.command_line import app, commands
from pipeline.config.load import load_config
from pipeline.run import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "examples" / "deploy"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_work_pools_file_names_a_flow_and_its_parameters():
    """The entrypoint imports, the parameters are those of the flow, the command is known."""
    from prefect.flows import Flow, load_flow_from_entrypoint

    (deployment,) = yaml.safe_load((ROOT / "flows" / "prefect.yaml").read_text())["deployments"]
    flow: Flow[..., Any] = load_flow_from_entrypoint(
        deployment["entrypoint"], use_placeholder_flow=False
    )
    parameters = flow.validate_parameters(deployment["parameters"])
    assert flow.name == "rote"
    assert parameters["command"] in COMMANDS
    assert load_config(base=parameters["config"]) == load_config()
    assert deployment["concurrency_limit"] == 1


def test_the_image_installs_parts_that_there_are_from_files_that_there_are():
    """What is copied exists and passes its ignore file; parts are extras of the project."""
    text = (DEPLOY / "Dockerfile").read_text()
    copied = [
        name
        for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE)
        for name in line.split()[:-1]
    ]
    allowed = re.findall(r"^!(.+)$", (DEPLOY / "Dockerfile.dockerignore").read_text(), re.MULTILINE)
    assert {"rote", "pipeline", "flows", "sql", "schemas", "constraints.txt"} <= set(copied)
    assert [name for name in copied if not (ROOT / name).exists()] == []
    assert [name for name in copied if name.split("/")[0] not in allowed] == []
    parts = re.findall(r"EXTRAS=([\w,]+)", text)
    assert {part for each in parts for part in each.split(",")} <= set(
        PROJECT["optional-dependencies"]
    )
    assert re.search(r"^USER rote$", text, re.MULTILINE)
    assert "://" not in text


def test_the_services_are_whole():
    """Each depends on one that there is, volumes are declared, no secret has a default."""
    text = (DEPLOY / "docker-compose.yaml").read_text()
    composed = yaml.safe_load(text)
    services = composed["services"]
    assert set(services) == {"storage", "buckets", "server", "deployment", "worker"}
    for service in services.values():
        assert set(service.get("depends_on", [])) <= set(services)
        named = {volume.partition(":")[0] for volume in service.get("volumes", [])}
        assert named <= set(composed["volumes"])
        if "build" in service:
            build = service["build"]
            assert (DEPLOY / build["context"] / build["dockerfile"]).resolve().exists()
    asked = set(re.findall(r"(?<!\$)\$\{(\w+)", text))
    given = set(re.findall(r"^(\w+)=", (DEPLOY / "example.env").read_text(), re.MULTILINE))
    assert asked == given
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("name", ["rote-scan.service", "rote-scan.timer"])
def test_the_units_of_systemd_are_read(name):
    """Each section has the keys that make it one."""
    unit = configparser.ConfigParser(interpolation=None)
    unit.read(ROOT / "examples" / name)
    if name.endswith(".timer"):
        assert unit["Timer"]["OnCalendar"] == "*-*-* 03:00:00"
        return
    program, command, *arguments = shlex.split(unit["Service"]["ExecStart"])
    assert Path(program).name == "rote"
    assert command in commands()
    app.parse_args([command, *arguments], exit_on_error=False, print_error=False)
