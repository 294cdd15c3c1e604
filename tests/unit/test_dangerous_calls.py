"""No code of the project runs data: a search through its syntax, of which noqa is no way out."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("rote", "pipeline", "flows", "schemas", "sql", "examples", "benchmarks")
FILES = sorted(path for name in FOLDERS for path in (ROOT / name).rglob("*.py"))
BUILTINS = {"eval", "exec", "compile", "__import__"}
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib", "jsonpickle"}
CALLS = {"os.system", "os.popen", "yaml.load", "yaml.unsafe_load", "yaml.full_load"}
STARTING = {"run", "call", "check_call", "check_output", "Popen"}
OPEN = {"torch.load": ("weights_only", True), "np.load": ("allow_pickle", False)}
"""Calls that are safe only with this argument, as it is written."""


def dangers(source: str) -> Iterator[str]:
    """Yield every call or import in a source that can run data, with its line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            own = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            for name in [own, *(alias.name for alias in node.names)]:
                if name.partition(".")[0] in MODULES:
                    yield f"{node.lineno}: import of {name}"
        elif isinstance(node, ast.Call):
            yield from _called(node)


def _called(node: ast.Call) -> Iterator[str]:
    name = ast.unparse(node.func)
    given = {word.arg: getattr(word.value, "value", None) for word in node.keywords}
    if name in BUILTINS | CALLS:
        yield f"{node.lineno}: {name}"
    starts = name.rpartition(".")[2] in STARTING
    if starts and given.get("shell", False) is not False:
        yield f"{node.lineno}: {name} with a shell"
    if name in OPEN:
        word, safe = OPEN[name]
        if given.get(word, False) is not safe:
            yield f"{node.lineno}: {name} without {word}={safe}"
    if given.get("trust_remote_code"):
        yield f"{node.lineno}: {name} that trusts remote code"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_runs_data(path):
    """No eval, exec, pickle, shell, unsafe load of weights or YAML, whatever comments allow."""
    assert list(dangers(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        "eval(x)",
        "exec(x)",
        "import pickle",
        "from dill import loads",
        "subprocess.run(x, shell=True)",
        "subprocess.run(x, shell=yes)",
        "torch.load(x)",
        "torch.load(x, weights_only=False)",
        "yaml.load(x)",
        "os.system(x)",
        "np.load(x, allow_pickle=True)",
        "AutoModel.from_pretrained(x, trust_remote_code=True)",
    ],
)
def test_what_runs_data_is_found(source):
    """Each kind is seen by the search."""
    assert len(list(dangers(source))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "model.eval()",
        "re.compile(x)",
        "torch.load(x, weights_only=True)",
        "np.load(x, allow_pickle=False)",
    ],
)
def test_what_does_not_is_not(source):
    """Methods of the same names, and safe loads, are left alone."""
    assert list(dangers(source)) == []
