"""The photograph experiment: its miniature, and what it says of tables made up to hold or fail."""

import io
import itertools

import numpy as np
import pandas as pd
import pytest
import rich.console

import experiments
from synjax import main
from synjax.report import reading
from synjax.reporting import table
from synjax.verbs import train

KODAK = experiments.load("experiments/kodak.py")
CONFIG = {"name": "kodak"}
LAMBDA_D = (14.0, 28.0, 55.0, 105.0)


def _table():
    """Four rates, better than all classical codecs, with members that pay."""
    points = [("fidelity", 0.0), ("circular", 0.0)]
    points += itertools.product(("sampled", "deterministic", "texture"), (0.1, 0.4))
    rows = []
    for (place, lambda_d), (variant, lambda_p) in itertools.product(enumerate(LAMBDA_D), points):
        worse = {0.0: 0.0, 0.1: 0.3, 0.4: 1.2}[lambda_p]
        psnr = 27.0 + 1.4 * place - worse
        drawn = variant == "sampled"
        rows.append(
            {
                "run": f"kodak/{variant}",
                "trial": f"ld={lambda_d:g},lp={lambda_p:g}",
                "lambda_d": lambda_d,
                "lambda_p": lambda_p,
                "realism": 1.0,
                "level": 2,
                "status": "ok",
                "bpp_exact": 0.12 * 1.5**place,
                "psnr": psnr,
                "jpeg_psnr": psnr + worse - 2.5,
                "ms_ssim": 0.9 + 0.02 * place,
                "lpips": 0.3 * 0.85**place * (0.7 if worse or variant == "circular" else 1.0),
                "mse": 10 ** (-psnr / 10),
                "diversity": 0.4 * 10 ** (-psnr / 10) if drawn else 0.0,
                "energy_distance": 1e-3 * np.exp(-worse * (1.5 if drawn else 1.0)),
                "frechet_distance": 0.3 * np.exp(-worse * (1.5 if drawn else 1.0)),
            }
        )
    return pd.DataFrame(rows)


def _failing(directory, rows):
    """Claims that fail; the files of classical codecs and of pictures are those of the table."""
    signals = rows.assign(signal="kodim01")
    signals.to_csv(directory / "signals.csv", index=False)
    (directory / "classical").mkdir(exist_ok=True)
    own = rows[rows.run == "kodak/fidelity"]
    points = []
    for name, behind in (("jpeg", 2.5), ("webp", 0.7)):
        points.append(
            pd.DataFrame(
                {
                    "name": name,
                    "bpp": 0.12 * 1.5 ** np.arange(4),
                    "psnr": 27.0 + 1.4 * np.arange(4) - behind,
                    "ms_ssim": own.ms_ssim.to_numpy() - 0.01,
                    "lpips": 0.4 * 0.85 ** np.arange(4),
                }
            )
        )
    pd.concat(points).to_csv(directory / "classical" / "classical.csv", index=False)
    found = KODAK.claims(rows, CONFIG, directory)
    assert len(found) == 17 - rows.lpips.isna().all()  # no BD-rate of what is not measured
    return [claim for claim, holds, _ in found if not holds]


def test_a_table_that_shows_all_fails_no_claim(tmp_path):
    assert _failing(tmp_path, _table()) == []


@pytest.mark.parametrize(
    ("variant", "column", "change", "named"),
    [
        ("fidelity", "jpeg_psnr", lambda v: v + 3, "on every picture"),
        ("fidelity", "jpeg_psnr", lambda v: v.where(v > v.min()), "on every picture"),
        ("fidelity", "psnr", lambda v: v - 1.2, "dB over JPEG"),
        ("fidelity", "psnr", lambda v: v.where(v > v.min()), "dB over JPEG"),
        ("fidelity", "psnr", lambda v: v - 1.2, "at least WebP's"),
        ("fidelity", "bpp_exact", lambda v: 1.2 * v, "BD-rate in psnr"),
        ("all", "lpips", lambda v: v**0.5, "LPIPS at most"),
        ("all", "lpips", lambda v: v * np.nan, "LPIPS at most"),
        ("texture", "lpips", lambda v: v * 1.2, "LPIPS at most"),  # that of others is no matter
        ("fidelity", "psnr", lambda v: v + 1, "LPIPS at most"),  # nothing is near it
        ("all", "energy_distance", lambda v: 1 / v, "fall as well"),
        ("sampled", "diversity", lambda v: v / 4, "members differ"),
        ("sampled", "frechet_distance", lambda v: v**0.5, "sampling pays: frechet"),
        ("sampled", "energy_distance", lambda v: v.where(v > v.min()), "deterministic decoder's"),
    ],
)
def test_a_table_that_does_not_show_something_fails_that_claim(
    tmp_path, variant, column, change, named
):
    rows = _table()
    chosen = (rows.run == f"kodak/{variant}") | (variant == "all")
    rows.loc[chosen, column] = change(rows.loc[chosen, column])
    failing = _failing(tmp_path, rows)
    assert any(named in claim for claim in failing), failing


def test_a_curve_that_crosses_the_other_is_below_it_in_the_mean_alone(tmp_path):
    rows = _table()
    first = (rows.run == "kodak/sampled") & (rows.lambda_p == 0.1)
    rows.loc[first, "energy_distance"] *= 1.25
    assert _failing(tmp_path, rows) == [
        "sampling pays: energy_distance below the deterministic decoder's at equal bytes and mse, "
        "everywhere"
    ]


def test_a_straight_line_to_the_first_row_is_no_measurement(tmp_path):
    """Where one of the curves has no rows the mean over all of it hides what the others say."""
    rows = _table()
    late = (rows.run == "kodak/deterministic") & (rows.lambda_p == 0.4)
    rows = rows[late | (rows.run != "kodak/deterministic")]
    for lambda_p, factor in ((0.1, 0.5), (0.4, 1.9)):
        own = (rows.run == "kodak/sampled") & (rows.lambda_p == lambda_p)
        rows.loc[own, "energy_distance"] *= factor
    claim = (
        "sampling pays: energy_distance below the deterministic decoder's at equal bytes and mse, "
    )
    assert _failing(tmp_path, rows) == [
        f"{claim}in the mean between rows of both",
        f"{claim}everywhere",
    ]


def test_what_is_not_measured_is_said(tmp_path):
    rows = _table().assign(lpips=np.nan)
    _failing(tmp_path, rows)
    measured = {claim[:5]: text for claim, _, text in KODAK.claims(rows, CONFIG, tmp_path)}
    assert measured["LPIPS"] == "not measured: evaluation.lpips is not set"


@pytest.fixture(scope="module")
def miniature(tmp_path_factory):
    config = KODAK.get_config("tiny").to_dict()
    config["evaluation"]["levels"] = (2,)  # the rest as in other tests: compiled once for all
    workdir = tmp_path_factory.mktemp("kodak") / "run"
    out = io.StringIO()
    train.sweep(config, workdir, rich.console.Console(file=out, width=160), KODAK)
    return workdir, out.getvalue()


def test_variants_send_the_same_bytes_and_classical_codecs_stand_beside_them(miniature):
    workdir, said = miniature
    results = table.read(workdir / "table.csv")
    measured = results.groupby("run").lambda_p.agg(set).to_dict()
    kinds = {"fidelity": {0.0}, "sampled": {1.0}, "deterministic": {1.0}, "texture": {1.0}}
    assert measured == {f"kodak_tiny/{kind}": lambda_p for kind, lambda_p in kinds.items()}
    assert set(results.groupby("lambda_d").rate_exact.nunique()) == {1}
    assert set(results.level) == {2}
    assert len(list((workdir / "encoders").iterdir())) == 1  # trained once for all
    assert set(results[results.run == "kodak_tiny/deterministic"].diversity) == {0.0}
    others = reading.classical(workdir)
    assert set(others["name"]) == {"jpeg", "webp"} and (others["ms_ssim"] > 0).all()
    assert others.frechet_distance.notna().all()
    assert "| webp  |" in (workdir / "table.md").read_text()
    page = (workdir / "report.html").read_text()
    assert "webp" in page and str(workdir / "signals.csv") in said


def test_every_picture_has_a_line_of_which_the_table_holds_the_mean(miniature):
    workdir, _ = miniature
    results = table.read(workdir / "table.csv")
    signals = pd.read_csv(workdir / "signals.csv")
    assert len(signals) == len(results) * results.n[0]
    means = signals.groupby(["run", "trial", "level"])[["psnr", "bpp_exact"]].mean()
    for row in results.itertuples():
        own = means.loc[row.run, row.trial, row.level]
        assert own.psnr == pytest.approx(row.psnr) and own.bpp_exact == pytest.approx(row.bpp_exact)


def test_what_it_reports_on_has_to_be_named():
    config = KODAK.get_config().to_dict()
    config["data"]["source"] = "folder:BSDS500"  # whose own test split is not Kodak
    with pytest.raises(ValueError, match="r0k.us"):
        KODAK.variants(config)


def test_without_pictures_one_line_says_where_they_are(tmp_path, capsys):
    arguments = ["sweep", "--experiment=experiments/kodak.py", f"--workdir={tmp_path / 'run'}"]
    assert main.main(arguments) == 2
    said = capsys.readouterr().err
    assert "BSDS500" in said and "r0k.us" in said and said.count("\n") == 1
    assert not (tmp_path / "run").exists()
