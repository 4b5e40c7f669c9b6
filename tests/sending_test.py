"""A signal as bytes: what its rates count, and what is kept of it once it is measured."""

import numpy as np
import pytest
import small_codec

from synjax.codec import bitstream
from synjax.evaluation import evaluate, sending


@pytest.fixture(scope="module")
def artefact():
    examples = small_codec.colour_picture(64, 64)[None]
    params = small_codec.disturbed(small_codec.COLOUR, examples, 0.02)
    return bitstream.make(small_codec.COLOUR, params, 100.0, 1.0)


def _noisy_to_estimated(artefact, shape):
    x = np.random.default_rng(0).uniform(size=(*shape, 3)).astype(np.float32)
    (sent,) = sending.send(artefact, x, seed=0, levels=(2,))
    return sent.rates["rate_noisy"] / sent.rates["rate_estimated"]


@pytest.mark.parametrize("shape", [(136, 136), (96, 200)])
def test_what_fills_a_bucket_has_no_share_in_the_noisy_rate(artefact, shape):
    whole = _noisy_to_estimated(artefact, (128, 256))
    assert _noisy_to_estimated(artefact, shape) == pytest.approx(whole, abs=0.04)


def test_only_the_first_signals_keep_what_was_decoded():
    measured = evaluate._forgetting(lambda x: [({"mse": x}, "decoded")], 2)
    kept = [measured(place, x)[0] for place, x in enumerate((0.1, 0.2, 0.3))]
    assert kept == [({"mse": 0.1}, "decoded"), ({"mse": 0.2}, "decoded"), ({"mse": 0.3}, None)]
