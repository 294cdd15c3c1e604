"""The tokenizer of a run: the same from the same texts, and never half a character."""

import itertools

import pytest

from pipeline.score.proxy.tokenizer import EOS, EOS_ID, encode, train_tokenizer

TEXTS = [
    "the attic ledger lists nine lamps and nine ladders",
    "Zeit für Öl, naïve façade",
    "天地玄黄 宇宙洪荒 日月盈昃",
    "tabs\tand\nlines\r\n  and   spaces",
    "emoji 👩‍🚀 and \U0001d4b3 and e\u0301",
    f"a text that spells {EOS} out",
]


@pytest.fixture(scope="module")
def tokenizer():
    """Give a tokenizer of 400 tokens trained on the texts."""
    return train_tokenizer(TEXTS * 5, 400)


def test_the_same_texts_give_the_same_tokenizer(tokenizer):
    """Training again gives the same bytes of `tokenizer.json`."""
    assert train_tokenizer(TEXTS * 5, 400).to_str() == tokenizer.to_str()


def test_a_tiny_sample_still_has_all_bytes():
    """Without any text the vocabulary is EOS and the 256 bytes, and any text can be encoded."""
    empty = train_tokenizer([], 2048)
    assert empty.get_vocab_size() == 257
    assert len(encode(empty, ["天地"])[0].tokens) == 6


def test_end_of_text_is_no_token_of_a_text(tokenizer):
    """A text that spells EOS out is encoded as text; the token itself is number 0."""
    assert tokenizer.token_to_id(EOS) == EOS_ID == 0
    assert EOS_ID not in encode(tokenizer, [TEXTS[5]])[0].tokens.tolist()


@pytest.mark.parametrize("text", TEXTS)
def test_bytes_of_tokens_cover_the_text_in_whole_characters(tokenizer, text):
    """Tokens lie in order, leave no byte out, and each range is valid UTF-8 by itself."""
    found, data = encode(tokenizer, [text])[0], text.encode()
    ranges = list(zip(found.starts.tolist(), found.ends.tolist(), strict=True))
    assert ranges[0][0] == 0
    assert ranges[-1][1] == len(data)
    for (_, end), (start, _) in itertools.pairwise(ranges):
        assert start <= end
    for start, end in ranges:
        data[start:end].decode()
    assert tokenizer.decode(found.tokens.tolist()) == text


def test_a_character_of_several_tokens_belongs_to_each_of_them():
    """A character that was never merged is three tokens, all with the bytes of the character."""
    found = encode(train_tokenizer(["ab"], 300), ["a漢b"])[0]
    assert found.starts.tolist() == [0, 1, 1, 1, 4]
    assert found.ends.tolist() == [1, 4, 4, 4, 5]


def test_an_empty_text_has_no_tokens(tokenizer):
    """Nothing is encoded as nothing."""
    found = encode(tokenizer, [""])[0]
    assert (found.tokens.size, found.starts.size, found.ends.size) == (0, 0, 0)
