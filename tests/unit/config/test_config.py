import json

import pytest
from pydantic import BaseModel

from pipeline.config.load import load_config
from pipeline.config.sections import Config
from pipeline.errors import ConfigError


def test_defaults_work_and_are_the_stated_ones():
    """Without a file or a setting the documented defaults hold."""
    config = load_config()
    assert (config.near.threshold, config.near.count_threshold) == (0.8, 0.5)
    assert (config.near.keep, config.near.bucket_cap, config.near.neighbours) == (
        "longest",
        128,
        8,
    )
    assert (config.sketch.bands, config.sketch.rows, config.sketch.shingle_words) == (42, 3, 5)
    assert (config.window.words, config.window.link_documents) == (50, 64)
    assert config.policy.rules == ("drop-copies",)
    assert config.emit.column == "rote"


def test_a_saved_one_then_the_file_then_settings(tmp_path):
    """Later sources win, key by key, and leave the other keys of a section alone."""
    near = {"threshold": 0.7, "keep": "earliest"}
    base = {"near": near, "window": {"words": 20}}
    file = tmp_path / "rote.toml"
    file.write_text('[near]\nthreshold = 0.75\nbucket_cap = 9\n[input]\ntext = ["body"]\n')
    config = load_config(file, ["near.threshold=0.85", "near.bucket_cap=10"], base)
    assert config.near.threshold == 0.85
    assert config.near.bucket_cap == 10
    assert config.near.keep == "earliest"
    assert config.window.words == 20
    assert config.input.text == ("body",)
    assert near["threshold"] == 0.7


@pytest.mark.parametrize(
    ("setting", "key", "value"),
    [
        ("near.keep=earliest", ("near", "keep"), "earliest"),
        ('near.keep="earliest"', ("near", "keep"), "earliest"),
        ("input.text=['a', 'b']", ("input", "text"), ("a", "b")),
        ("input.id=doc", ("input", "id"), "doc"),
        ("near.sources=wiki", ("near", "sources"), ("wiki",)),
        ('near.sources=["wiki", "books"]', ("near", "sources"), ("wiki", "books")),
        ("near.containment=0", ("near", "containment"), 0),
        ("near.containment=0.5", ("near", "containment"), 0.5),
        (" near.bucket_cap =7", ("near", "bucket_cap"), 7),
        ("input.text_separator=a=b", ("input", "text_separator"), "a=b"),
        ("policy.rules=[]", ("policy", "rules"), ()),
        ("input.skip_bad_files=true", ("input", "skip_bad_files"), True),
        ("limits.memory=1_000", ("limits", "memory"), 1000),
    ],
)
def test_a_setting_is_toml_or_else_a_string(setting, key, value):
    """Values are read as TOML; what is no TOML value is text."""
    section, name = key
    assert getattr(getattr(load_config(settings=[setting]), section), name) == value


@pytest.mark.parametrize(
    ("setting", "where"),
    [
        ("near.threshhold=0.8", "near.threshhold"),
        ("nearly.threshold=0.8", "nearly"),
        ("near.threshold=1.1", "near.threshold"),
        ("near.threshold=0", "near.threshold"),
        ("near.threshold=nan", "near.threshold"),
        ("near.threshold=high", "near.threshold"),
        ("near.count_threshold=0.9", "near"),
        ("near.keep=shortest", "near.keep"),
        ("near.sources=[1]", "near.sources.0"),
        ("near.containment=0.49", "near"),
        ("near.containment=-1", "near.containment"),
        ("near.containment=1.01", "near.containment"),
        ("near.containment=nan", "near.containment"),
        ("near.threshold.more=1", "near.threshold"),
        ("near=1", "near"),
        ("window.words=0", "window.words"),
        ("sketch.seed=-1", "sketch.seed"),
        ("sketch.bands=1.5", "sketch.bands"),
        ("policy.rules=['drop-everything']", "policy.rules.0"),
        ("emit.column=", "emit.column"),
        ("limits.memory=-1", "limits.memory"),
    ],
)
def test_what_is_unknown_or_out_of_range_is_refused_by_key(setting, where):
    """The message names the key, and the exit code is that of a usage error."""
    with pytest.raises(ConfigError) as refused:
        load_config(settings=[setting])
    assert refused.value.where == where
    assert refused.value.fix
    assert refused.value.exit_code == 2


@pytest.mark.parametrize("setting", ["near.threshold", "=1", "  =1"])
def test_a_setting_without_key_or_value_is_refused(setting):
    """The message shows the form that is expected."""
    with pytest.raises(ConfigError, match="key=value") as refused:
        load_config(settings=[setting])
    assert "near.threshold=0.85" in refused.value.expected


@pytest.mark.parametrize("data", [b"[near\n", b"a = \xff", None])
def test_a_file_that_is_no_toml_or_not_there_is_refused_by_name(tmp_path, data):
    """The message names the file."""
    file = tmp_path / "rote.toml"
    if data is not None:
        file.write_bytes(data)
    with pytest.raises(ConfigError) as refused:
        load_config(file)
    assert refused.value.where == str(file)


def test_the_file_is_named_where_its_value_is_wrong(tmp_path):
    """A bad key of a file is named with the file."""
    file = tmp_path / "rote.toml"
    file.write_text("[near]\nthreshold = 2\n")
    with pytest.raises(ConfigError) as refused:
        load_config(file)
    assert refused.value.where == f"near.threshold in {file}"


def test_a_saved_configuration_loads_as_the_same():
    """What is written to the manifest as JSON gives the same configuration again."""
    config = load_config(settings=["input.text=['a']", "near.threshold=0.9", "policy.rules=[]"])
    saved = json.loads(json.dumps(config.model_dump(mode="json")))
    assert load_config(base=saved) == config


def test_the_configuration_is_frozen():
    """Nothing changes a configuration that is in use."""
    with pytest.raises(ValueError, match="frozen"):
        load_config().near.threshold = 0.1  # type: ignore[misc] # what mypy refuses, pydantic must


def test_every_key_is_described():
    """Each key has a description, from which the documentation is made."""
    for name, section in Config.model_fields.items():
        kind = section.annotation
        assert isinstance(kind, type)
        assert issubclass(kind, BaseModel)
        for key, field in kind.model_fields.items():
            assert field.description, f"{name}.{key}"


def test_one_text_column_needs_no_list() -> None:
    """`--set input.text=body` names one column, as the messages advise."""
    assert load_config(settings=["input.text=body"]).input.text == ("body",)


def test_unknown_setting_is_called_so() -> None:
    """A mistyped key is named and called unknown."""
    with pytest.raises(ConfigError) as caught:
        load_config(settings=["near.treshold=0.5"])
    assert (caught.value.where, caught.value.found) == ("near.treshold", "no such setting")


def test_settings_that_there_are_no_longer_are_left_out_of_a_saved_configuration():
    """A run folder of a former version can be opened; by hand they are refused."""
    saved = {**Config().model_dump(mode="json")}
    saved["backtest"] = {**saved["backtest"], "rows": 0, "clusters": 0, "epochs": 0}
    assert load_config(base=saved) == Config()
    with pytest.raises(ConfigError, match="no such setting"):
        load_config(settings=["backtest.rows=3"])
