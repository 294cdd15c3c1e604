"""Personal data: what is found and what is not, and what the rules that mask and drop it do."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from examples.rebuild_texts import originals
from flows.runners import LocalMapper
from flows.summary import summarize
from pipeline import installed, run
from pipeline.config.load import load_config
from pipeline.config.personal import PersonalConfig
from pipeline.engine import query
from pipeline.errors import ConfigError, SchemaMismatch
from pipeline.filter.personal.finds import Finder
from pipeline.filter.rules.mask_personal import outside
from pipeline.inspect.explain import explain
from schemas.filter.decisions import CUTS, DECISIONS
from schemas.filter.personal import PERSONAL

KEY = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
BLOCK = "-----BEGIN RSA PRIVATE KEY-----\nMIIE1\n-----END RSA PRIVATE KEY-----"
FOUND = [
    ("Write to Ana.Lopez+x@mail.uni-bonn.de, now", "email", "Ana.Lopez+x@mail.uni-bonn.de"),
    (
        "\u5730\u5740\uff1ali@sina.com.cn\u548cbo@qq.com\u3002",
        "email",
        "li@sina.com.cn",
        "bo@qq.com",
    ),
    ("call (617) 542-5942 or +44 20 7946 0018.", "phone", "(617) 542-5942", "+44 20 7946 0018"),
    ("Tel: 2025551313", "phone", "2025551313"),
    ("fax 317-274-5902\n", "phone", "317-274-5902"),
    ("4111 1111 1111 1111 or 378282246310005", "card", "4111 1111 1111 1111", "378282246310005"),
    ("to DE89 3704 0044 0532 0130 00 THANKS", "iban", "DE89 3704 0044 0532 0130 00"),
    ("IBAN:GB29NWBK60161331926819.", "iban", "GB29NWBK60161331926819"),
    ("seen from 142.250.200.46:443", "ip", "142.250.200.46"),
    ("at [2001:4860:4860:0:1::8888]:53", "ip", "2001:4860:4860:0:1::8888"),
    ("SSN 536-90-4399", "national_id", "536-90-4399"),
    ("CPF 390.533.447-05", "national_id", "390.533.447-05"),
    ("codice RCCMNL83S18D969H", "national_id", "RCCMNL83S18D969H"),
    ("nir 2 95 10 99 126 111 93", "national_id", "2 95 10 99 126 111 93"),
    (f"token={KEY}", "key", KEY),
    (f"a\n{BLOCK}\nb", "key", BLOCK),
    ("AKIAQWERTYUIOP123456", "key", "AKIAQWERTYUIOP123456"),
]
OTHER = [
    "müller@bücher.de: an internationalized domain is not looked for (docs/personal.md)",
    "an arXiv number 2106.09685 of 2021-06-17, pages 1234-1245, ISBN 978-3-16-148410-0",
    "timestamps 1400000000 and 1404918373, ids 20644414, a hash 8086072ba1",
    "UUID d89f4580-826f-3a1b-9c1d-8086072ba100",
    "version 10.14.6.2 and v12.34.56.78, section 2.3.1.1, a network 52.85.89.0, 10.43.183.232",
    "Boston, MA 02110-1301 and DFARS 252.227-7015; 11 | 2026-04-25 | 12:30:45",
    "constants (2147483648) and -1.234456e+7 and 3.141592653589793",
    "card 4111 1111 1111 1112 and an IBAN DE89 3704 0044 0532 0130 01",
    "@media print, icon@2x.png, ann@example.org, git@host, pkg@1.2.3, a::b::c::d, 56:bc:4e:55:ae",
    "AKIAIOSFODNN7EXAMPLE and pypi-downloads-with-package-signing",
]


def found(texts, **settings):
    """Return (row, kind, value) of every find in some texts."""
    finder = Finder(PersonalConfig(**settings), 1)
    finds = list(finder.finds(pa.array(texts, pa.large_string())))
    return [
        (row, find.kind, texts[row].encode()[find.start : find.end].decode()) for row, find in finds
    ]


@pytest.mark.parametrize("case", FOUND)
def test_personal_data_is_found_where_it_is(case):
    """Each kind is found, whole and alone, with what stands around it left out."""
    text, kind, *values = case
    assert found([text]) == [(0, kind, value) for value in values]


@pytest.mark.parametrize("text", OTHER)
def test_other_numbers_are_not_personal_data(text):
    """Dates, ids, versions, constants, reserved domains and failed check digits are no finds."""
    assert found([text]) == []


def test_finds_are_the_same_for_any_batches():
    """Texts together, alone, and as a slice of an array give the same finds in order."""
    texts = [text for text, *_ in FOUND] + OTHER
    whole = found(texts)
    alone = [(row, kind, value) for row, t in enumerate(texts) for _, kind, value in found([t])]
    assert whole == alone
    sliced = pa.array(["x@y.de", *texts], pa.large_string()).slice(1)
    finder = Finder(PersonalConfig(), 1)
    together = list(finder.finds(pa.array(texts, pa.large_string())))
    assert list(finder.finds(sliced)) == together


def test_equal_values_have_one_hash():
    """Case and signs are no other value; another kind, number or seed is."""
    texts = ["Ann@web.de", "ann@WEB.de", "bob@web.de", "(617) 542-5942", "617-542-5942"]
    finds = list(Finder(PersonalConfig(), 1).finds(pa.array(texts, pa.large_string())))
    values = [find.value for _, find in finds]
    assert values[0] == values[1] != values[2]
    assert values[3] == values[4]
    other = next(Finder(PersonalConfig(), 2).finds(pa.array(texts[:1], pa.large_string())))
    assert other[1].value != values[0]


def test_kinds_and_regions_say_what_is_looked_for():
    """A kind that is not asked for is not found; numbers of a country are found when it is."""
    text = ["mail a@web.de, telephone 030 901820, card 4111 1111 1111 1111"]
    assert found(text, kinds=["card"]) == [(0, "card", "4111 1111 1111 1111")]
    assert "phone" not in [kind for _, kind, _ in found(text)]
    assert (0, "phone", "030 901820") in found(text, regions=["DE"])


PASSAGE = " ".join(f"word{n}" for n in range(60))
OWN = " ".join(f"other{n}" for n in range(30))
ROWS = {
    "clean": "nothing of anyone is in this text at all",
    "mail": "schöne Grüße an jörg.müller@web.de und anna@web.de — bis bald",
    "first": f"{PASSAGE} {OWN} reach carl@web.de here",
    "later": f"other {PASSAGE} beginning {OWN[::-1]}, dora@web.de",
    "copy": "schöne Grüße an jörg.müller@web.de und anna@web.de — bis bald",
    "three": "a@web.de b@web.de c@web.de",
    "exempt": "one more: eva@web.de",
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, make_corpus):
    """Return a corpus with personal data in most of its rows."""
    rows = [
        {"id": name, "text": text, "source": "own" if name == "exempt" else "web"}
        for name, text in ROWS.items()
    ]
    return make_corpus(tmp_path_factory.mktemp("personal") / "corpus", {"a.jsonl": rows})


def kept(done):
    """Return the text of each kept row by its id."""
    table = done.table("kept")
    return dict(zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True))


def reasons(done):
    """Return the reason of each decision by row."""
    return dict(zip(ROWS, done.table("decisions")["reason"].to_pylist(), strict=True))


def test_masks_stand_where_personal_data_was(corpus, tmp_path, scan):
    """Each find is replaced by its kind; other text is unchanged; the whole text can be rebuilt."""
    done = scan(
        corpus, tmp_path / "run", 'policy.rules=["drop-copies","cut-spans","mask-personal"]',
        "policy.exempt=own", "policy.cut_minimum=1",
    )  # fmt: skip
    texts = kept(done)
    assert texts["mail"] == "schöne Grüße an [email] und [email] — bis bald"
    assert texts["first"] == f"{PASSAGE} {OWN} reach [email] here"
    assert texts["later"] == f"other  beginning {OWN[::-1]}, [email]"
    assert texts["three"] == "[email] [email] [email]"
    assert texts["exempt"] == ROWS["exempt"]
    assert texts["clean"] == ROWS["clean"]
    assert reasons(done)["mail"] == "personal_masked"
    assert reasons(done)["later"] == "repeated"
    spans = pq.read_table(done.folder / "removed/spans/a.parquet")
    table = done.table("kept")
    assert dict(zip(table["id"].to_pylist(), originals(table, spans, "text"), strict=True)) == {
        name: text for name, text in ROWS.items() if name != "copy"
    }
    told = explain(done.folder, "mail")
    assert "KEPT, personal data masked (rule mask-personal)" in told
    at = [ROWS["mail"].encode().index(one) for one in ("jörg".encode(), b"anna")]
    places = f"j***@w***.de at byte {at[0]}, e-mail address a***@w***.de at byte {at[1]}"
    assert f"personal data: e-mail address {places}" in " ".join(told.split())
    facts = done.manifest["outputs"]["decisions/all"]["facts"]
    assert facts["masked"] == {"documents": 4, "ranges": 7, "bytes": 77}


def test_rows_with_so_many_finds_go(corpus, tmp_path, scan):
    """A row at the number goes, one below stays; a keeper takes those that it stands for along."""
    rules = 'policy.rules=["drop-copies","drop-personal"]'
    done = scan(corpus, tmp_path / "run", rules, "policy.personal=2")
    assert set(kept(done)) == {"clean", "first", "later", "exempt"}
    assert reasons(done)["copy"] == "personal"
    assert {row["reason"] for row in done.table("removed")["rote"].to_pylist()} == {"personal"}
    told = "pieces found in the texts as scanned; other columns are not searched"
    assert f"  personal         10  {told}" in summarize(done.folder)[0].splitlines()


def test_what_is_offered_for_chats_that_are_not_masked_does_it(tmp_path, make_corpus, scan):
    """Chat messages are not masked; the error offers drop-personal, which takes the row."""
    rows = [{"messages": [{"content": text}]} for text in ("ask bo@qq.com for it", "ask nobody")]
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": rows})
    with pytest.raises(SchemaMismatch, match="not changed by mask-personal") as refused:
        scan(corpus, tmp_path / "run", 'policy.rules=["drop-copies","mask-personal"]')
    assert "drop-personal" in refused.value.fix
    assert "policy.cut" not in refused.value.fix
    done = scan(corpus, tmp_path / "run", 'policy.rules=["drop-copies","drop-personal"]')
    assert [row["reason"] for row in done.table("removed")["rote"].to_pylist()] == ["personal"]


def test_a_find_over_two_columns_is_masked_in_both(tmp_path, make_corpus, scan):
    """What begins in one column and ends in the next is named once, and no byte of it is left."""
    rows = [{"a": "telephone 617", "b": "542-5942 now"}, {"a": "nothing", "b": "here"}]
    corpus = make_corpus(tmp_path / "corpus", {"a.jsonl": rows})
    done = scan(
        corpus, tmp_path / "run", 'policy.rules=["mask-personal"]', 'input.text=["a","b"]',
        'input.text_separator="-"',
    )  # fmt: skip
    first = done.table("kept").to_pylist()[0]
    assert (first["a"], first["b"]) == ("telephone [phone]", " now")


def test_a_find_that_is_partly_cut_is_masked_outside_of_the_cut():
    """Parts of a range that others cover are left out, in order."""
    assert outside((10, 20), []) == [(10, 20)]
    assert outside((10, 20), [(0, 5), (12, 14), (18, 30)]) == [(10, 12), (14, 18)]
    assert outside((10, 20), [(5, 25)]) == []


def test_what_stays_with_personal_data_is_found_by_the_audit(stored):
    """The audit names a row that a rule was to mask or drop, and no other."""
    decisions = stored(
        DECISIONS, row_key=[1, 2, 3, 4], action=["cut", "cut", "keep", "drop"],
        reason=["personal_masked", "repeated", None, "personal"],
    )  # fmt: skip
    personal = stored(PERSONAL, row_key=[1, 2, 3, 4], start_byte=[0] * 4, end_byte=[9] * 4)
    cuts = stored(CUTS, row_key=[1, 2], start_byte=[0, 0], end_byte=[9, 8])
    inputs = {"decisions": decisions, "cuts": cuts, "personal": personal}
    none = pa.table({"row_key": pa.array([], pa.uint64())})
    every = pa.table({"row_key": pa.array([1, 2, 3, 4], pa.uint64())})
    name = "filter/audits/personal_is_gone"
    masking = query.run(name, {**inputs, "masking": every, "dropping": none}, {"least": 1})
    assert masking["row_key"].to_pylist() == [2, 3]
    dropping = query.run(name, {**inputs, "masking": none, "dropping": every}, {"least": 1})
    assert dropping["row_key"].to_pylist() == [1, 2, 3]
    two = query.run(name, {**inputs, "masking": none, "dropping": every}, {"least": 2})
    assert two.num_rows == 0


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (['policy.rules=["mask-personal","drop-copies"]'], "must be the last"),
        (['policy.rules=["mask-personal","cut-spans"]'], "must be the last"),
        (['policy.rules=["cut-spans","mask-personal"]', "policy.cut=mask"], "exclude each other"),
        (["personal.kinds=[]"], "personal.kinds"),
        (['personal.regions=["usa"]'], "personal.regions"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, said):
    """Rules in another order, masks in a text that must not change, and unknown values."""
    with pytest.raises(ConfigError, match=said):
        load_config(settings=settings)


def test_without_its_part_nothing_begins(corpus, tmp_path, monkeypatch):
    """A command that needs the packages is refused before a scan, and says what to install."""
    gone = {"personal": ("no_such_package",)}
    monkeypatch.setattr(installed, "PARTS", {**installed.PARTS, **gone})
    config = load_config(settings=["personal.find=true"])
    out = tmp_path / "run"
    with (
        pytest.raises(ConfigError, match=r"rote\[personal\]"),
        run.session(out, config, LocalMapper(1), corpus=[str(corpus)]) as session,
    ):
        run.scan_and_filter(session)
    assert not (out / "signatures").exists()
