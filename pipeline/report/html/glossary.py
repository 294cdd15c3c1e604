"""The words of this project, each defined once; the report and docs/glossary.md show these.

They stand here, in the layer that every page of HTML is made of, because the report is the program
that shows them: no stage needs them, and `schemas/` describes tables, not words.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Term:
    """A word that has a meaning of its own in this project.

    Attributes:
        name: the word as the pages write it, in the singular.
        definition: one to three sentences that stand alone; `names` of settings in backticks.
        also: other words for the same thing, or words that are defined with it.
    """

    name: str
    definition: str
    also: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The name, and the other words after it."""
        return ", ".join((self.name, *self.also))

    @property
    def anchor(self) -> str:
        """The id of its entry in a page of HTML."""
        return f"term-{self.name.lower().replace(' ', '-').replace('%', '')}"


# in the order in which a reader of the README and of the report meets them
TERMS = (
    Term("corpus", "All the files of text that a run looks at."),
    Term("shard", "One file of the corpus; each of its rows may hold a text."),
    Term("document", "One row of a shard that has a text."),
    Term(
        "kept",
        "What becomes of a row. A document is kept, or it is removed by a rule; a row without a "
        "usable text (null, empty, not UTF-8, and so on) is no document and is rejected.",
        ("removed", "rejected"),
    ),
    Term(
        "word",
        "An unbroken run of letters, marks, numbers and connectors such as `_`, in lower case. "
        "Each Han, Kana or Bopomofo character is a word by itself.",
    ),
    Term(
        "shingle",
        "5 consecutive words of a document (`sketch.shingle_words`). A shorter document has one "
        "shingle, all its words; a document without words has none.",
    ),
    Term(
        "exact copy",
        "A document whose text has the same bytes as the text of another document.",
    ),
    Term(
        "near copy",
        "A document whose text has other bytes than that of another document, but a Jaccard with "
        "it at or above `near.threshold` (0.8 by default). Two texts that both have fewer than "
        "`near.symbol_words` (50) words must also agree in their symbols, such as + and -.",
    ),
    Term(
        "Jaccard",
        "How alike two texts are, from 0 to 1: the number of different shingles that are in both, "
        "divided by the number that are in at least one of them. It is computed exactly, on the "
        "words themselves.",
    ),
    Term(
        "keeper",
        "The document that stays in place of a removed copy. The removal is proved against this "
        "very document.",
    ),
    Term(
        "contained",
        "A document is contained in a longer one if at least the share `near.containment` of its "
        "shingles is in the longer one too. Nothing is removed for this unless that setting is "
        "above 0.",
        ("excerpt",),
    ),
    Term(
        "cluster",
        "All documents that exact copies and near copies join, directly or through other "
        "documents. Two members of a cluster need not be near copies of each other.",
    ),
    Term(
        "family",
        "All documents that are joined, directly or through other documents, by the same text, by "
        "a Jaccard at or above `near.count_threshold` (0.5 by default), or by a repeated window "
        "that at most `window.link_documents` (64) documents hold. Samples and tests take "
        "families as a whole, so that no text is on both sides.",
    ),
    Term(
        "source group",
        "What the report, the alarms and the rules group documents by: the value of the source "
        "column, or the part of it before the first `/` if it has too many values for that, or "
        "else the folder of the shard, with the name of its root where several were given, and its "
        "split.",
    ),
    Term(
        "split",
        "The part of a data set that a file is in, told by its name or folder: train, validation "
        "or test. A copy in one split is removed for one in another only with "
        "`near.across_splits`; else it is leakage, which the report counts.",
    ),
    Term(
        "window",
        "50 consecutive words of a document (`window.words`); one starts at every word that has "
        "enough words after it. A repeated window occurs more than once in the corpus.",
    ),
    Term(
        "span",
        "A run of repeated windows in a document, as long as it can be.",
        ("passage",),
    ),
    Term(
        "repeated word",
        "A word of a document that lies in at least one repeated window.",
    ),
    Term(
        "exact count",
        "How many documents have the same text as this one, itself included.",
    ),
    Term(
        "near count",
        "How many documents are exact copies or near copies of this one, itself included.",
    ),
    Term(
        "window count",
        "How often the most frequent window of a document occurs in the corpus; 0 for a document "
        "that is shorter than a window.",
    ),
    Term(
        "effective count",
        "How many exact copies all the copies of a document are worth to a model that learns from "
        "them: its exact count, plus rho for every document of another text with a Jaccard at or "
        "above `near.count_threshold`. "
        "rho = exp(-0.113 - 3.50 r), r = 1 - s^(1/5), where s is the share of this document's "
        "shingles that the other text has too; it is fitted to the mosaic-memory data.",
        ("nu",),
    ),
    Term(
        "MinHash",
        "A short summary of the shingles of a document, by which pairs of likely copies are found "
        "without comparing all pairs. It only proposes pairs; each is then proved by its Jaccard.",
        ("signature",),
    ),
    Term(
        "bucket",
        "Documents that agree in one part of their MinHash, so that they are compared with each "
        "other; documents with fewer words than a shingle share a bucket if their words are the "
        "same. A bucket of more than `near.bucket_cap` different texts is capped: only some of "
        "its pairs are compared.",
    ),
    Term("candidate", "A pair of different texts that were met in a bucket and are compared."),
    Term(
        "token",
        "A piece of text, a word or a part of one, that a language model reads and writes as one "
        "symbol.",
    ),
    Term(
        "sequence",
        "64 consecutive tokens of a document: the unit of risk. One starts at every 64th token, "
        "so that no two overlap; what is left at the end of a document, and a document of fewer "
        "than 64 tokens, has none.",
    ),
    Term(
        "prefix",
        "The first 32 tokens of a sequence are its prefix, which a model is given; the last 32 "
        "are its suffix, which the model is tested on.",
        ("suffix",),
    ),
    Term(
        "proxy",
        "A small language model that stands in for the target: trained on a sample of the "
        "corpus, or loaded (`proxy.models`).",
    ),
    Term(
        "target",
        "The model that you are going to train, described by `--target` or the settings "
        "`target.*`. Without them it has 1,000,000,000 parameters, is trained on 20 tokens for "
        "each, and sees the corpus once.",
    ),
    Term("size", "The number of a model's parameters, those of its embeddings left out."),
    Term(
        "ladder",
        "The proxies of growing size that are trained on the whole sample. What a larger one "
        "memorizes is predicted from a smaller one, to learn the step from the largest to the "
        "target.",
    ),
    Term(
        "plant",
        "A passage of a document that the proxies are not trained on otherwise, which they are "
        "taught 1 to 256 times, or not at all, as a draw decides. Plants show at which dose a "
        "proxy of each size recites, on any corpus. They are in no file and no count.",
    ),
    Term(
        "cross-fit pair",
        "Two proxies of the same size, each trained on one half of the families of the sample. "
        "For a text of one half, the other proxy shows what can be guessed without having seen it.",
    ),
    Term(
        "panel",
        "The sequences that are scored. Repeated text is chosen more often than other text, so a "
        "share of the panel is not the share of the corpus.",
    ),
    Term(
        "dose",
        "How many times a model sees the text of a sequence in training: its occurrences in the "
        "training text, times the epochs.",
    ),
    Term(
        "half dose",
        "The number of occurrences at which a model recites half of the sequences of a corpus "
        "that occur so often.",
    ),
    Term(
        "memorized",
        "A model has memorized a sequence if each token of the suffix is the one that the model "
        "finds most probable after the true text before it. Greedy decoding from the prefix then "
        "writes the suffix word for word.",
    ),
    Term(
        "p_z",
        "The probability that a model writes exactly the suffix when it samples after the prefix "
        "at temperature 1.",
    ),
    Term(
        "least margin",
        "The smallest lead of a suffix token over the best other token, in nats of log "
        "probability. Above 0 the sequence is memorized; the larger it is, the surer.",
        ("margin",),
    ),
    Term(
        "gap",
        "How many bits of the suffix a model saves because it saw the sequence in training: log2 "
        "p_z by the proxy of the cross-fit pair that saw it, minus log2 p_z by the one that did "
        "not.",
    ),
    Term(
        "base rate",
        "The share of sequences that were memorized among all those looked at. Read a forecast "
        "beside it: to be of use, it must do better than this one number.",
    ),
    Term(
        "floor",
        "The share of sequences that a proxy completes word for word although it never saw them: "
        "what can be guessed. Plants that a draw left out are part of it. No removal lowers it.",
    ),
    Term(
        "seen",
        "Whether the proxies were trained on a sequence. The forecast has one model for seen "
        "sequences and one for unseen sequences.",
        ("unseen",),
    ),
    Term(
        "risk",
        "The forecast probability that the target memorizes a sequence if it is trained on the "
        "corpus as given. The risk of a document is the largest of its scored sequences.",
    ),
    Term(
        "risk after",
        "The forecast again, at the doses that are left once rules have removed rows.",
    ),
    Term(
        "expected tokens",
        "How many tokens the target is forecast to memorize: the sum over scored sequences of "
        "risk times the 32 tokens of the suffix, each distinct text counted once, weighted to the "
        "whole corpus.",
    ),
    Term(
        "tokens at risk",
        "Tokens that the target is forecast to memorize of some rows, added up row by row: a copy "
        "counts again, and only scored rows count. They rank kinds and sources; how much a model "
        "would memorize in all are the expected tokens.",
    ),
    Term(
        "95% interval",
        "The range that holds the true value in about 95 of 100 cases, as far as the sample can "
        "tell. It is computed over whole families, because sequences of one family are alike.",
    ),
    Term(
        "held out",
        "Left out of what a model learns from, so that the model can be tested on it. Families "
        "are always held out as a whole.",
    ),
    Term(
        "calibration",
        "How well forecast probabilities agree with what happens: of all sequences with a risk of "
        "0.3, about 30% should be memorized.",
    ),
    Term(
        "average precision",
        "How well a score puts memorized sequences before the others, averaged over all "
        "thresholds. 1 is a perfect order; an order by chance gets about the base rate.",
    ),
    Term(
        "Brier score",
        "The mean squared difference between a forecast probability and what happened, which is 0 "
        "or 1: lower is better. The Brier skill compares it with always forecasting the base "
        "rate: 1 is perfect, 0 is no better.",
        ("Brier skill",),
    ),
    Term(
        "extrapolated",
        "Said of a forecast for a target of more than 10 times the size of the largest proxy, or "
        "trained on more than 10 times its tokens. Such a forecast is told as a band; read its "
        "risks as an order, not as probabilities.",
    ),
    Term(
        "outlook",
        "What models of four sizes would recite of a corpus that they see once, by how often a "
        "sequence occurs: a band and a half dose for each. It needs no target.",
    ),
    Term(
        "kind",
        "What sort of text a sequence with a risk of 0.5 or more is. It is reconstructed if a "
        "proxy that never saw it finds its suffix easy to guess (a probability of at least 0.5 a "
        "token, in the geometric mean), else recited if it occurs at least 6 times in the "
        "corpus, else recollected.",
        ("reconstructed", "recited", "recollected"),
    ),
    Term(
        "policy",
        "The rules and thresholds that say which rows go and which passages are cut: the settings "
        "`policy.*`.",
    ),
    Term(
        "rule",
        "One step of a policy, such as `drop-copies`. Rules run in the order of `policy.rules`, "
        "and the first one that removes a row decides.",
    ),
    Term(
        "mitigation",
        "Something that is added to what is kept, for a training that memorizes less: the "
        "settings `mitigation.*`.",
    ),
    Term(
        "goldfish",
        "A flag for each token that says whether it counts in the training loss. About one token "
        "in k is left out, chosen by the h tokens before it, so every copy of a passage has the "
        "same holes.",
        ("loss mask",),
    ),
    Term(
        "sink id",
        "A number that is the same for a text and all its exact copies and near copies. Training "
        "with MemSinks uses it to choose the neurons that may memorize this text, which can be "
        "switched off later.",
    ),
    Term(
        "MemFree",
        "A way to generate text without any run of n tokens that is on a list. rote writes that "
        "list, from sequences of high risk, as the Bloom filter `mitigation/memfree.bloom`.",
    ),
    Term(
        "signal",
        "A measure of how strongly a model has memorized a sequence, such as p_z.",
    ),
    Term(
        "probe",
        "A signal that is expensive to compute, so that it is computed only on request "
        "(`probes.signals`) and only for some sequences.",
    ),
    Term(
        "back-test",
        "A test of the forecast on your own corpus: larger models are trained on what the proxies "
        "were taught, in another order, and what was forecast is compared with what they remember.",
    ),
    Term(
        "arm",
        "One more training of the larger model of a back-test in which one thing is different, "
        "such as the rows or the loss, to measure what that changes.",
    ),
    Term(
        "alarm",
        "A finding that a person must look at before the result is used. With `--strict` an "
        "alarm makes the command fail; a note never does.",
        ("note",),
    ),
    Term(
        "self-audit",
        "The check that each scan makes of its own search: near copies of the corpus' own "
        "documents are planted in memory, and the share that the search proposes is reported.",
    ),
    Term(
        "run folder",
        "The folder that holds all tables and results of a run. Its `manifest.json` lists them "
        "and says what each was made from.",
        ("manifest",),
    ),
    Term(
        "stage",
        "One step of the program that makes tables from tables, such as `pairs` or `risk`.",
    ),
    Term(
        "unit of work",
        "What a stage does at one go: all of it, or one group of shards. Prefect shows each as a "
        "task.",
    ),
    Term(
        "digest",
        "A hash of the bytes of a file, or of all that a stage made. Equal digests mean equal "
        "content.",
    ),
    Term(
        "fingerprint",
        "A hash of all that a result depends on: the version of the stage, the settings that it "
        "reads, and the digests of what it reads. A result whose fingerprint is the same need not "
        "be made again.",
    ),
)
