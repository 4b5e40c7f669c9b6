"""The table checks its rows and keeps every digit on disk."""

import itertools
import math

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synjax.reporting import table

# The order other work relies on: design, "evaluation -> reporting".
HEAD = [
    "run",
    "trial",
    "stage",
    "encoder_id",
    "config_hash",
    "lambda_d",
    "lambda_p",
    "level",
    "realism",
    "targets",
    "lambda_d_reached",
    "lambda_p_reached",
    "perception",
    "distortion",
    "members",
    "seed",
    "dataset",
    "n",
    "status",
    "reason",
    "rate_noisy",
    "rate_estimated",
    "rate_exact",
    "rate_header",
    "header_bits",
    "bpp_noisy",
    "bpp_estimated",
    "bpp_exact",
    "kbps_noisy",
    "kbps_estimated",
    "kbps_exact",
    "mse",
    "mse_se",
    "mse_best",
    "mse_worst",
    "psnr",
    "ms_ssim",
    "snr",
    "lsd",
    "lpips",
    "mse_of_mean",
    "diversity",
    "consistency",
]
TAIL = [
    "rate_bound",
    "gap_to_bound",
    "bound_name",
    "rate_bound_private",
    "seconds_encode",
    "seconds_decode",
    "jpeg_psnr",
]


def _row(**changes):
    """A whole row of a vector source; numbers that decimal notation cannot hold."""
    row = {
        "run": "sweep",
        "trial": "d10_p0",
        "stage": "perception",
        "encoder_id": "e0",
        "config_hash": "c0ffee",
        "lambda_d": 10.0,
        "lambda_p": 0.0,
        "level": 1,
        "perception": "sliced_wasserstein",
        "distortion": "mse",
        "members": 4,
        "seed": 0,
        "dataset": "gaussian",
        "n": 64,
        "status": "ok",
        "rate_noisy": 1 / 3,
        "rate_estimated": 2 / 3,
        "rate_exact": 0.1 + 0.2,
        "header_bits": 48.0,
        "mse": 0.04,
        "mse_se": 0.001,
        "diversity": 0.01,
        "mse_of_mean": 0.035,
        "energy": math.pi / 100,
        "energy_floor": 1e-300,
        "energy_se": 5e-324,
    }
    return row | changes


def _image_row(**changes):
    return (
        _row(dataset="photos", bpp_exact=0.5, psnr=28.126, ms_ssim=0.91, jpeg_psnr=27.5) | changes
    )


def _failed_row(**changes):
    measured = ("rate_", "mse", "energy", "div", "header")
    row = {key: value for key, value in _row().items() if not key.startswith(measured)}
    return row | {"status": "diverged", "reason": "loss is nan at step 120"} | changes


def test_columns_stand_in_the_fixed_order_with_divergences_sorted():
    row = _row(**dict.fromkeys(["a", "a_floor", "a_se"], 1.0))
    triples = ["a", "a_floor", "a_se", "energy", "energy_floor", "energy_se"]
    assert list(table.frame([row]).columns) == HEAD + triples + TAIL
    assert table.divergences(table.frame([row])) == ["a", "energy"]


def test_every_fixed_column_has_a_meaning_of_one_line():
    assert list(table.COLUMNS) == HEAD + TAIL
    assert all(meaning and "\n" not in meaning for meaning in table.COLUMNS.values())


def test_rows_are_sorted_whatever_their_order():
    keys = [("a", "b"), (1.0, 10.0), (0.0, 2.0), (1, 2), (0, 1)]
    names = ["run", "lambda_d", "lambda_p", "level", "seed"]
    ordered = [dict(zip(names, values, strict=True)) for values in itertools.product(*keys)]
    shuffled = [_row(**ordered[i]) for i in np.random.default_rng(0).permutation(len(ordered))]
    result = table.frame(shuffled)
    assert result[names].to_dict("records") == ordered
    assert list(result.index) == list(range(len(ordered)))


def test_a_failed_row_keeps_its_reason_and_has_no_measurements():
    result = table.frame([_failed_row(level=2), _row()])
    failed = result.iloc[1]
    assert failed["status"] == "diverged" and failed["reason"] == "loss is nan at step 120"
    measured = result.loc[1, "rate_noisy":"jpeg_psnr"].drop("bound_name")
    assert measured.isna().all()


def test_a_table_of_failures_has_the_divergences_it_is_told():
    assert "energy_se" in table.frame([_failed_row()], divergences=["energy"]).columns


@pytest.mark.parametrize("kind", [np.float32, jnp.float32, np.float64, float])
def test_numbers_of_every_library_are_taken(kind):
    result = table.frame([_row(mse=kind(0.25), level=np.int32(2), n=jnp.int32(3))])
    assert result["mse"][0] == 0.25 and result["level"][0] == 2 and result["n"][0] == 3


@pytest.mark.parametrize("key", ["run", "lambda_p", "level", "status", "mse", "rate_exact"])
def test_a_missing_key_is_named(key):
    rows = [_row(), {name: value for name, value in _row().items() if name != key}]
    with pytest.raises(ValueError, match=f"row 2 .*{key}"):
        table.frame(rows)


@pytest.mark.parametrize("key", ["mes", "energy_", "lambda"])
def test_an_unknown_key_is_named(key):
    with pytest.raises(ValueError, match=f"row 1 .*'{key}'"):
        table.frame([_row(**{key: 1.0})])


@pytest.mark.parametrize("key", ["energy", "energy_se"])
def test_a_divergence_without_value_or_error_is_refused(key):
    row = _row()
    del row[key]
    with pytest.raises(ValueError, match=f"'energy' lacks {key} "):
        table.frame([row])


@pytest.mark.parametrize(
    "change",
    [{"level": 1.5}, {"level": True}, {"mse": "0.1"}, {"mse": [0.1]}, {"run": 3}, {"mse": True}],
)
def test_a_value_of_the_wrong_type_is_named(change):
    with pytest.raises(ValueError, match=f"row 1 .*{next(iter(change))}"):
        table.frame([_row(**change)])


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_an_ok_row_cannot_hide_a_measurement_that_is_not_finite(value):
    with pytest.raises(ValueError, match="mse"):
        table.frame([_row(mse=value)])


def test_a_failure_needs_a_reason():
    with pytest.raises(ValueError, match="reason"):
        table.frame([_failed_row(reason="")])


def test_no_rows_are_no_table():
    with pytest.raises(ValueError, match="at least one row"):
        table.frame([])


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_what_is_read_equals_what_was_written(tmp_path, suffix):
    rows = [
        _row(),
        _row(level=2, psnr=math.inf, trial='a "quoted", name', dataset="NA", bound_name="nan"),
        _failed_row(level=3, reason="1,2;\n3\r\t'é λ| \\"),
        _image_row(level=4, mse=np.nextafter(0.04, 1)),
    ]
    written = table.frame(rows)
    table.write(written, tmp_path)
    restored = table.read(tmp_path / f"table.{suffix}")
    pd.testing.assert_frame_equal(restored, written, check_exact=True)


@settings(max_examples=25, deadline=None)
@given(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
)
def test_any_number_and_text_survive_the_csv(tmp_path_factory, finite, other, text):
    directory = tmp_path_factory.mktemp("table")
    written = table.frame([_row(rate_exact=finite, psnr=other, run=text)])
    table.write(written, directory)
    restored = table.read(directory / "table.csv")
    pd.testing.assert_frame_equal(restored, written, check_exact=True)


def test_the_same_rows_give_the_same_bytes_and_leave_nothing_else(tmp_path):
    rows = [_image_row(), _failed_row(level=2)]
    first = table.write(table.frame(rows), tmp_path / "a")
    second = table.write(table.frame(rows[::-1]), tmp_path / "b")
    names = ["table.csv", "table.parquet", "table.md", "table.tex"]
    assert [path.name for path in first] == names
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == sorted(names)


def test_a_failing_write_leaves_the_old_file(tmp_path, monkeypatch):
    paths = table.write(table.frame([_row()]), tmp_path)
    before = paths[0].read_bytes()
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        table.write(table.frame([_row(n=65)]), tmp_path)
    assert paths[0].read_bytes() == before


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"PAR1\0\0PAR1", b"\xff\xfe\0"])
def test_a_file_that_is_no_table_is_refused_in_one_line(tmp_path, suffix, content):
    path = tmp_path / f"other.{suffix}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is not a results table") as caught:
        table.read(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-3],  # cut in the empty cells at the end of the last row
        lambda text: text[:-1],
        lambda text: text.replace(",64,ok", ",many,ok"),
        lambda text: text.replace(",mse_se,", ",mse_sd,"),
        lambda text: text.replace("\nsweep", "\nsweep,sweep"),
    ],
)
def test_a_damaged_csv_is_refused(tmp_path, damage):
    path = table.write(table.frame([_row(), _row(level=2)]), tmp_path)[0]
    damaged = damage(path.read_text())
    assert damaged != path.read_text()
    path.write_text(damaged)
    with pytest.raises(ValueError, match="is not a results table"):
        table.read(path)


def test_a_parquet_file_of_other_types_is_refused(tmp_path):
    path = tmp_path / "table.parquet"
    table.frame([_row()]).astype({"level": "float64"}).to_parquet(path)
    with pytest.raises(ValueError, match="types"):
        table.read(path)


def test_a_table_from_before_a_column_was_added_is_read_without_its_values(tmp_path):
    written = table.frame([_row(), _row(level=2)])
    for name in ("table.csv", "table.parquet"):
        path = tmp_path / name
        older = written.drop(columns="lpips")
        older.to_csv(path, index=False) if name == "table.csv" else older.to_parquet(path)
        pd.testing.assert_frame_equal(table.read(path), written)
        older.drop(columns="psnr").to_csv(tmp_path / "table.csv", index=False)
        with pytest.raises(ValueError, match="columns"):
            table.read(tmp_path / "table.csv")


@pytest.mark.parametrize("name", ["table.csv", "table.md", "table"])
def test_a_missing_file_or_another_format_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=name):
        table.read(tmp_path / name)
