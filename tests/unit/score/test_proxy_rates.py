"""The learning rate of a width: what is on record stays, wide models have a lower one."""

from pipeline.config.load import load_config
from pipeline.config.sections import ProxyConfig
from pipeline.score.proxy.model import Shape, Transformer
from pipeline.score.proxy.rates import FULL_RATE_WIDTH, rate_of_width
from pipeline.score.proxy.train import EMBEDDING_RATE, optimiser_of
from pipeline.score.sequences.sequences import settings


def test_the_rate_falls_as_one_over_the_width_above_the_widest_on_record():
    """Up to it the rate is the one that is set, at twice the width half of it."""
    assert [rate_of_width(width) for width in (32, 96, 160)] == [1.0, 1.0, 1.0]
    assert rate_of_width(320) == 0.5
    assert rate_of_width(1_216) == 160 / 1_216
    said = ProxyConfig.model_fields["rate"].description
    assert said is not None
    assert f"a width above {FULL_RATE_WIDTH} has both times" in said


def test_matrices_and_embedding_have_the_rate_of_their_width():
    """The embedding, which is the head as well, keeps its ratio to the matrices."""
    for width, share in ((64, 1.0), (320, 0.5)):
        groups = optimiser_of(Transformer(Shape(300, 1, width), 1), 0.003).param_groups
        assert [group["times"] for group in groups] == [share, EMBEDDING_RATE * share]


def test_a_score_of_wide_proxies_follows_from_their_rates():
    """What was scored with narrow ones stays current; with a wide one it is made anew."""
    narrow = settings(load_config(settings=[]))
    assert len(narrow) == 2
    wide = settings(load_config(settings=["proxy.shapes=[[1,32],[2,32],[2,320]]"]))
    assert wide[2:] == [[1.0, 1.0, 0.5]]
