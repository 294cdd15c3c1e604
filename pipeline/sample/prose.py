"""Unique English-like prose for planted cases, too random to be guessed.

No sentence template recurs: length, order and kind of every phrase are drawn, and invented names,
places and numbers stand between the drawn words. A model can therefore only know a passage from
having seen it. No word holds a hyphen or an apostrophe, so that splitting at spaces counts the same
words as rote does.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence


def _words(text: str) -> tuple[str, ...]:
    """Return the words of a block of text."""
    return tuple(text.split())


NOUNS = _words(
    """
    anchor apron archive arrow attic badge bakery ballad balcony barge barrel basin beacon bell
    bicycle blanket boiler bolt bridge brush bucket buoy button cabin cable calendar candle canoe
    carriage cart cellar chapel chimney choir circle clerk cliff clock coat column compass copper
    corridor cottage counter cousin crate creek curtain dam desk diary ditch doctor door drawer
    drum dyke engine envelope farmer fence ferry field flag flute forest forge fountain furnace
    garden gate gauge glacier glove granary gravel hammer harbour harness hatch hedge hill hinge
    horn inkwell inn island jacket jar journal kettle key kiln kitchen ladder lamp lantern ledger
    lens letter library lighthouse loaf lock loom mallet map market marsh mason meadow medal mill
    mine mirror mortar museum needle nephew notebook oar orchard organ oven paddle painter pantry
    parcel pasture pebble pedal piano pier pilot pipe plank plough pocket pond poplar porch
    postcard press pulley quarry quilt raft railway rake reed registry reservoir ribbon river roof
    rope saddle sail satchel school scale shepherd shovel signal siren sleeve spade spring stable
    stair stamp stove street surgeon tailor teapot telegram tent theatre ticket timber tower
    trumpet tunnel turbine uncle valley vault village vine wagon warehouse weaver well wheel
    whistle widow windmill workshop yard
    """
)
ADJECTIVES = _words(
    """
    amber ancient awkward bitter blue borrowed brittle broad broken bronze calm careful cheap
    clumsy cold crooked damp dark deep dented distant dull dusty early eastern elder empty faded
    famous foggy foreign forgotten fragile gentle gilded green hasty heavy hidden hollow honest
    humble idle iron lame late lazy leaden little local lonely loose lost loud mended modest muddy
    narrow noisy northern oily old painted pale patient plain polished proud quiet ragged rare
    restless rough round rusty salty scarlet second shallow sharp silent silver slow smooth
    southern spare stiff stolen stout strange sturdy sudden tall tame thin tired upper vacant
    velvet warm western white wide wild wooden yellow young
    """
)
VERBS = _words(
    """
    abandoned admired answered balanced blamed borrowed bought brought built buried carried carved
    chased circled claimed cleaned closed copied counted covered crossed delivered described
    doubted drew dropped emptied entered escaped examined exchanged fastened fetched filled
    followed forgave found gathered guarded guided hauled heard hid hired ignored inherited
    inspected kept labelled lent lifted lit loaded lost marked measured mended missed moved named
    noticed offered oiled opened ordered owed packed painted passed planted polished praised
    pulled pushed raised reached refused remembered rented repaired replaced rescued returned
    sealed searched sent served shared sketched sold sorted spoiled stole studied swept tested
    traced traded trusted turned unlocked visited wanted warned washed watched weighed wrapped
    """
)
ADVERBS = _words(
    """
    almost anyway barely boldly calmly carefully cheaply eagerly evenly finally gladly gravely
    hardly later loudly nearly never often once openly patiently politely quickly quietly rarely
    sadly secretly seldom slowly softly soon steadily still suddenly twice
    """
)
PLACES = _words(
    """
    above across against along among around before behind below beneath beside beyond near past
    through under within
    """
)
LINKS = _words(
    """
    although and because before but once since so though unless until when whereas while
    """
)
DETERMINERS = _words("a another each every her his its no one our some that the their this")
ONSETS = _words("b br c ch d dr f fl g gr h j k kl l m n p pr qu r s sh sk st t th tr v w y z")
VOWELS = _words("a ae ai e ea ei i ia o oa ou u")
ENDS = _words("b ck d f g k l ld m n nd ng p r rd rn s sk st t th x z")


class Writer:
    """A source of prose that is a function of its key alone.

    Only `Random.random` is drawn from: its stream is kept the same between versions of Python.
    """

    def __init__(self, key: str) -> None:
        draw: Callable[[], float] = random.Random(key).random  # noqa: S311 - repeatable, no secret
        self._draw = draw

    def below(self, bound: int) -> int:
        """Return an integer in [0, bound)."""
        return int(self._draw() * bound)

    def pick(self, words: Sequence[str]) -> str:
        """Return one of the words, all equally likely."""
        return words[self.below(len(words))]

    def name(self) -> str:
        """Return an invented name of two or three syllables."""
        syllables = [self.pick(ONSETS) + self.pick(VOWELS) for _ in range(1 + self.below(2))]
        return (
            "".join(syllables) + self.pick(ONSETS) + self.pick(VOWELS) + self.pick(ENDS)
        ).capitalize()

    def sentence(self) -> str:
        """Return one sentence: one to three clauses of drawn shapes, 3 to about 40 words."""
        words = self._clause()
        for _ in range(self.below(3)):
            words += [self.pick(LINKS), *self._clause()]
        words[0] = words[0][0].upper() + words[0][1:]
        return " ".join(words) + "."

    def passage(self, low: int, high: int) -> str:
        """Return whole sentences of low to high words together; `high - low` must be at least 4."""
        sentences: list[str] = []
        count = 0
        while count < low:
            sentence = self.sentence()
            words = sentence.count(" ") + 1
            if count + words <= high:
                sentences.append(sentence)
                count += words
        return " ".join(sentences)

    def _clause(self) -> list[str]:
        """Return the words of one clause."""
        words = self._thing()
        if self.below(3) == 0:
            words.append(self.pick(ADVERBS))
        words += [self.pick(VERBS), *self._thing()]
        for _ in range(self.below(3)):
            words += [self.pick(PLACES), *self._thing()]
        return words

    def _thing(self) -> list[str]:
        """Return the words of one noun phrase."""
        kind = self.below(8)
        if kind == 0:
            return [self.name()]
        if kind == 1:
            return [self.name(), self.name()]
        if kind == 2:
            return [self.pick(NOUNS), str(2 + self.below(9998))]
        words = [self.pick(DETERMINERS)]
        words += [self.pick(ADJECTIVES) for _ in range(self.below(3))]
        words.append(self.pick(NOUNS))
        return [*words, "of", self.name()] if kind == 3 else words
