"""Make the texts to plant: exact canaries, fuzzy families and guessable templates of 64 tokens.

They are made from the run's own words and passages (memorization.md 5.1). A cluster is one text
with all its variants; a fair coin decides whether it gets into the corpus. Canaries of random words
are unlike the corpus; those that are passages are like it and overlap with what it teaches. The
frame of a template is shared by several clusters that differ in a few words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer

from pipeline.backtest.sizes import Size
from pipeline.score.proxy.tokenizer import encode
from pipeline.score.slices import SEQUENCE, SUFFIX

WORD = re.compile(r" [A-Za-z]+")
MOST_TOKENS = 4  # of a word to plant
LEAST_TIMES = 2  # that a word must occur
LEAST_WORDS = 8  # of each half of a passage: fuzzy copies and templates replace some
SLOTS = 4  # words that vary in the prefix of a template
COPIES_OF_INSTANCES = (1, 2, 4)
SCORED_VARIANTS = 3
PER_DOCUMENT = 4  # passages of one document

WordsByLength = Mapping[int, Sequence[str]]  # by their length in tokens


@dataclass(frozen=True)
class PlantedText:
    """One text of the back-test's corpus, planted or natural.

    Attributes:
        kind: natural | canary | fuzzy | template.
        part: what tells clusters of a kind apart, as random or passage.
        cluster: the name of its cluster.
        unit: what folds and the bootstrap draw together: the cluster, or the frame of a template.
        dose: copies of the whole cluster when it is inside.
        inside: whether the cluster is in what models learn.
        variant: the number of the text in its cluster.
        copies: exact copies of this text when the cluster is inside.
        text: the text.
    """

    kind: str
    part: str
    cluster: str
    unit: str
    dose: int
    inside: bool
    variant: int
    copies: int
    text: str


def vocabulary(tokenizer: Tokenizer, texts: Sequence[str]) -> WordsByLength:
    """Return the words that occur often enough, with a space before each, by length in tokens."""
    times: dict[str, int] = {}
    for text in texts:
        for word in WORD.findall(text):
            times[word] = times.get(word, 0) + 1
    known = sorted(word for word, count in times.items() if count >= LEAST_TIMES)
    found: dict[int, list[str]] = {}
    for word, encoded in zip(known, encode(tokenizer, known), strict=True):
        if len(encoded.tokens) <= MOST_TOKENS:
            found.setdefault(len(encoded.tokens), []).append(word)
    return found


def passages(
    tokenizer: Tokenizer, texts: Sequence[str], tokens: int = SEQUENCE, most: int = PER_DOCUMENT
) -> Iterator[str]:
    """Yield passages of an exact number of tokens that begin and end between words.

    A passage begins with the space before its first word, so that its tokens are those that it had
    in the text. Passages do not overlap. Those of few words with spaces between them are left out.

    Args:
        tokenizer: the tokenizer of the back-test.
        texts: where the passages are taken from.
        tokens: the tokens of a passage.
        most: passages of one text at most.
    """
    for text, whole in zip(texts, encode(tokenizer, texts), strict=True):
        raw = text.encode()
        begins = [raw[start : start + 1] == b" " for start in whole.starts.tolist()]
        place, taken = 1, 0
        while place + tokens < len(begins) and taken < most:
            if begins[place] and begins[place + tokens]:
                low, high = whole.starts[place], whole.starts[place + tokens]
                cut = raw[low:high].decode(errors="ignore")
                if _has_words(cut) and len(encode(tokenizer, [cut])[0].tokens) == tokens:
                    yield cut
                    taken += 1
                    place += tokens
            place += 1


def _has_words(passage: str) -> bool:
    """Return whether both halves of a passage have words enough: texts of other scripts have none.

    Their words are not parted by spaces, so what is to be replaced in them is not found.
    """
    middle = len(passage) // 2
    return all(
        len(WORD.findall(half)) >= LEAST_WORDS for half in (passage[:middle], passage[middle:])
    )


def plant(
    tokenizer: Tokenizer, words: WordsByLength, source: Iterator[str], size: Size, seed: int
) -> list[PlantedText]:
    """Return everything to plant, also the clusters that stay outside.

    Args:
        tokenizer: the tokenizer of the back-test.
        words: words to draw from.
        source: passages to use, each once.
        size: how much is planted.
        seed: of the random generator.

    Raises:
        ValueError: When there are too few passages.
    """
    maker = _Maker(tokenizer, words, source, np.random.Generator(np.random.PCG64([seed, 7])))
    return [
        *(text for dose in size.doses for text in maker.exact(dose, size.clusters)),
        *(text for share in size.shares for text in maker.fuzzy(share, size)),
        *(text for frame in range(size.frames) for text in maker.template(frame, size)),
        *maker.references(size.references),
    ]


@dataclass
class _Maker:
    """A maker of texts to plant, each checked to have exactly 64 tokens.

    Attributes:
        tokenizer: of the proxies.
        words: the words to draw from, by their number of tokens.
        source: passages of the corpus.
        random: what all is drawn with.
    """

    tokenizer: Tokenizer
    words: WordsByLength
    source: Iterator[str]
    random: np.random.Generator

    def exact(self, dose: int, clusters: int) -> list[PlantedText]:
        """Return exact canaries, `dose` copies of each: random words and passages in turn."""
        found = []
        for number in range(clusters):
            part = ("random", "passage")[number % 2]
            name = f"canary-{dose}-{number}"
            found.append(
                PlantedText(
                    "canary", part, name, name, dose, self._coin(), 0, dose, self._canary(part)
                )
            )
        return found

    def references(self, count: int) -> list[PlantedText]:
        """Return canaries that never get in, among which exposure ranks the others."""
        return [
            PlantedText("canary", part, name, name, 0, False, 0, 0, self._canary(part))
            for number in range(count)
            for part in ("random", "passage")
            for name in (f"reference-{part}-{number}",)
        ]

    def fuzzy(self, share: float, size: Size) -> list[PlantedText]:
        """Return fuzzy families: a passage, and copies with a share of its words replaced."""
        found = []
        for number in range(size.fuzzy):
            name, inside = f"fuzzy-{round(100 * share)}-{number}", self._coin()
            whole = self._passage()
            texts = [whole] + [self._replaced(whole, share) for _ in range(size.copies - 1)]
            found += [
                PlantedText(
                    "fuzzy", f"{share:.2f}", name, name, size.copies, inside, place, 1, text
                )
                for place, text in enumerate(texts)
            ]
        return found

    def template(self, frame: int, size: Size) -> list[PlantedText]:
        """Return the clusters of a frame: slots in the prefix, in odd frames one in the suffix."""
        part = ("guessable", "slot in suffix")[frame % 2]
        whole, unit = self._passage(), f"frame-{frame}"
        slots = self._slots(whole, suffix=frame % 2 == 1)
        found = []
        for number in range(size.instances):
            copies = COPIES_OF_INSTANCES[number % len(COPIES_OF_INSTANCES)]
            text = self._with(whole, slots)
            name = f"template-{frame}-{number}"
            found.append(
                PlantedText("template", part, name, unit, copies, self._coin(), 0, copies, text)
            )
        return found

    def _coin(self) -> bool:
        return bool(self.random.integers(0, 2))

    def _canary(self, part: str) -> str:
        return self._passage() if part == "passage" else self._random_words()

    def _random_words(self) -> str:
        """Return random words of 64 tokens in all, each length with an equal chance."""
        lengths = sorted(self.words)
        chosen, left = [], SEQUENCE
        while left:
            length = int(self.random.choice([n for n in lengths if n <= left]))
            chosen.append(self._word(length))
            left -= length
        text = "".join(chosen)
        return text if self._fits(text) else self._random_words()

    def _passage(self) -> str:
        """Return the next passage of the source.

        Raises:
            ValueError: When there is none.
        """
        found = next(self.source, None)
        if found is None:
            raise ValueError("too few passages of 64 tokens to plant from")
        return found

    def _word(self, length: int) -> str:
        return str(self.random.choice(self.words[length]))

    def _replaced(self, whole: str, share: float) -> str:
        places = list(WORD.finditer(whole))
        count = max(1, round(share * len(places)))
        chosen = self.random.choice(len(places), count, replace=False).tolist()
        return self._with(whole, [places[place].span() for place in sorted(chosen)])

    def _slots(self, whole: str, *, suffix: bool) -> list[tuple[int, int]]:
        """Return character ranges of words to vary: four that end in the prefix, one after it."""
        encoded = encode(self.tokenizer, [whole])[0]
        ends = encoded.ends[SEQUENCE - SUFFIX - 1]
        limit = len(whole.encode()[:ends].decode(errors="ignore"))
        spans = [match.span() for match in WORD.finditer(whole)]
        before = [span for span in spans if span[1] <= limit]
        after = [span for span in spans if span[0] >= limit]
        picked = self.random.choice(len(before), min(SLOTS, len(before)), replace=False).tolist()
        chosen = [before[place] for place in picked]
        if suffix and after:
            chosen.append(after[int(self.random.integers(len(after)))])
        return sorted(chosen)

    def _with(self, whole: str, spans: list[tuple[int, int]]) -> str:
        """Return the text with random words of the same number of tokens in those ranges."""
        parts, end = [], 0
        for low, high in spans:
            length = len(encode(self.tokenizer, [whole[low:high]])[0].tokens)
            fresh = self._word(length) if length in self.words else whole[low:high]
            parts += [whole[end:low], fresh]
            end = high
        text = "".join([*parts, whole[end:]])
        return text if self._fits(text) else self._with(whole, spans)

    def _fits(self, text: str) -> bool:
        return len(encode(self.tokenizer, [text])[0].tokens) == SEQUENCE
