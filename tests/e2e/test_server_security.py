"""The Prefect server that rote starts: shut to other users of the machine and to web pages."""

import base64
import json
import os
import stat
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from flows.runners import FIXED
from flows.server import STOP_SECONDS, TemporaryServer, database
from pipeline.errors import ConfigError

EVIL = "https://evil.example"
PATHS = ("flows/filter", "deployments/filter", "flow_runs/filter")


@pytest.fixture(scope="module")
def prefect_home(tmp_path_factory):
    """Return a Prefect folder for both servers: a history is made by the first of them."""
    return tmp_path_factory.mktemp("prefect")


@pytest.fixture(scope="module", params=[False, True], ids=["run", "schedule"])
def server(request, prefect_home):
    """Start a server as `rote run` and as `rote schedule` do."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("PREFECT_")]:
            patch.delenv(name)
        patch.setenv("PREFECT_HOME", str(prefect_home))
        patch.setenv("PREFECT_SERVER_API_AUTH_STRING", "of:another")  # ours has its own
        started = TemporaryServer(scheduling=request.param)
        assert started.wait(), started.complaint()
        yield started
        started.release()
        assert started._process.wait(STOP_SECONDS) == 0  # it ends by itself
        started._errors.close()
        assert started.secret_file is None or not started.secret_file.exists()


def ask(server, path, *, method="POST", secret=None, origin=None, more=()):
    """Return status and headers of a request."""
    headers = {"Content-Type": "application/json", **dict(more)}
    if secret is not None:
        token = base64.b64encode(secret.encode()).decode()
        headers["Authorization"] = f"Basic {token}"
    if origin is not None:
        headers["Origin"] = origin
    body = b"{}" if method == "POST" else None
    request = urllib.request.Request(  # noqa: S310 - our own address
        f"{server.url}/{path}", data=body, headers=headers, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return answer.status, answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.headers


@pytest.mark.parametrize("path", PATHS)
def test_without_the_secret_nothing_is_answered(server, path):
    """401 for whoever has none or another, the answer for who has it."""
    assert ask(server, path)[0] == 401
    assert ask(server, path, secret="rote:guess")[0] == 401  # noqa: S106 - a wrong one
    assert ask(server, path, secret="of:another")[0] == 401  # noqa: S106
    assert ask(server, path, secret=server.secret)[0] == 200


def test_no_page_of_another_origin_may_read_an_answer(server):
    """Neither a request nor the question before it gets a header that allows one."""
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x"}
    for answer in (
        ask(server, "flows/filter", secret=server.secret, origin=EVIL),
        ask(server, "flows/filter", origin=EVIL),
        ask(server, "flows/filter", method="OPTIONS", origin=EVIL, more=asked.items()),
        ask(server, "health", method="GET", origin=EVIL),
    ):
        assert answer[1].get("Access-Control-Allow-Origin") is None


def test_it_listens_on_the_loopback_alone(server):
    """No other address of the machine has the port."""
    port = f"{int(server.url.split(':')[2].split('/')[0]):04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    lines += [line.split() for line in Path("/proc/net/tcp6").read_text().splitlines()[1:]]
    listening = [line[1] for line in lines if line[3] == "0A" and line[1].endswith(f":{port}")]
    assert listening == [f"0100007F:{port}"]


def test_secret_and_history_are_of_this_user_alone(server):
    """The files that a schedule leaves for its user are readable by nobody else."""
    files = [database(), *([server.secret_file] if server.secret_file else [])]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    if server.secret_file is not None:
        assert server.secret_file.read_text() == server.secret


def test_no_other_user_sees_the_secret_in_the_list_of_processes(server):
    """It is in no argument."""
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    assert server.secret not in listed.stdout


def test_prefects_pages_are_shown_for_a_schedule_alone(server):
    """The server of a schedule has the browser pages, that of a run has none."""
    try:
        address = server.url.removesuffix("/api")
        with urllib.request.urlopen(address, timeout=30) as page:  # noqa: S310 - our own address
            begun = page.read(15)
    except urllib.error.HTTPError:
        begun = b""
    assert begun == (b"<!DOCTYPE html>" if server.secret_file is not None else b"")


@pytest.fixture
def deployed(monkeypatch):
    """Let the flow's module think that it runs a deployment; return it."""
    from prefect import runtime

    from flows import flow

    monkeypatch.setattr(runtime.deployment, "id", "some", raising=False)
    return flow


def test_a_run_of_a_schedule_names_no_other_folder(deployed, monkeypatch):
    """`out` and `corpus` are those of the schedule, whatever the server says, unless it is open."""
    fixed = {"corpus": ["/data"], "out": "/run"}
    monkeypatch.setenv(FIXED, json.dumps(fixed))
    deployed.require_fixed(fixed)
    for other in ({"out": "/etc/evil"}, {"corpus": ["/root"]}, {"corpus": ["/data", "/root"]}):
        with pytest.raises(ConfigError, match="may not name another") as refused:
            deployed.require_fixed({**fixed, **other})
        assert "--open-parameters" in refused.value.fix
    monkeypatch.delenv(FIXED)
    deployed.require_fixed({**fixed, "out": "/elsewhere"})
