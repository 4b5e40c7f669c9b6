"""Windows cover a picture once, and keep their distance from the edges that they cut."""

import hypothesis
import numpy as np
from hypothesis import strategies as st

from synjax.codec import tiles


@hypothesis.settings(max_examples=100, deadline=None)
@hypothesis.given(
    sizes=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    halo=st.integers(0, 4),
    step=st.integers(1, 12),
)
def test_every_sample_is_kept_once_and_far_from_cut_edges(sizes, halo, step):
    side = step + 2 * halo
    picture = np.arange(sizes[0] * sizes[1]).reshape(sizes)
    kept = np.zeros(sizes, int)
    for window in tiles.windows(sizes, side, halo):
        cut = picture[window.outer]
        assert cut.shape == tuple(min(side, size) for size in sizes)
        np.testing.assert_array_equal(cut[window.within], picture[window.inner])
        kept[window.inner] += 1
        for outer, inner, size in zip(window.outer, window.inner, sizes, strict=True):
            assert outer.start == 0 or inner.start - outer.start >= halo
            assert outer.stop == size or outer.stop - inner.stop >= halo
    np.testing.assert_array_equal(kept, np.ones(sizes, int))
