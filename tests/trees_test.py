"""Trees of arrays as bytes."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from synjax.codec import trees

KEYS = st.text("abc01_", min_size=1, max_size=4)
LEAVES = st.none() | arrays.arrays(
    st.sampled_from([np.float32, np.int32, np.int8, np.uint16, np.int64]),
    arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
    elements=st.integers(0, 100),
)
TREES = st.recursive(
    LEAVES,
    lambda branch: (
        st.dictionaries(KEYS, branch, max_size=3) | st.lists(branch, max_size=3).map(tuple)
    ),
    max_leaves=6,
)


def _same(a, b):
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(_same(a[k], b[k]) for k in a)
    if isinstance(a, tuple):
        return isinstance(b, tuple) and len(a) == len(b) and all(map(_same, a, b))
    if a is None:
        return b is None
    return a.dtype == b.dtype and a.shape == b.shape and np.array_equal(a, b)


@settings(max_examples=50)
@given(TREES)
def test_any_tree_comes_back_even_where_branches_are_empty(tree):
    content, form = trees.pack(tree)
    again = trees.unpack(content, json.loads(json.dumps(form)))
    assert _same(tree, again)


def test_arrays_that_do_not_lie_in_order_come_back():
    tree = {"turned": np.arange(6).reshape(2, 3).T}
    assert _same(tree, trees.unpack(*trees.pack(tree)))


def test_two_arrays_of_one_name_are_refused():
    with pytest.raises(ValueError, match=r"a\.b"):
        trees.pack({"a.b": np.zeros(1), "a": {"b": np.ones(1)}})


def test_content_and_form_that_do_not_belong_together_are_refused():
    content, form = trees.pack({"a": np.zeros(1), "b": np.ones(1)})
    with pytest.raises(ValueError, match="'c'"):
        trees.unpack(content, form | {"c": "c"})
    with pytest.raises(ValueError, match="nothing names: b"):
        trees.unpack(content, {"a": "a"})
    with pytest.raises(ValueError, match="no safetensors file"):
        trees.unpack(content[:20], form)
