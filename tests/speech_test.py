"""The miniature of speech through the real command line, and a sound through its codec."""

import numpy as np
import pytest
import small_codec
from PIL import Image

from synjax import main
from synjax.data import sounds
from synjax.reporting import table


@pytest.fixture(scope="module")
def swept(command, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("speech") / "run"
    done = command("sweep", "--config=configs/speech.py:tiny", f"--workdir={workdir}")
    assert done.returncode == 0, done.stderr
    return workdir


def test_every_row_has_what_sounds_are_measured_by(swept):
    results = table.read(swept / "table.csv")
    assert len(results) == 8 and set(results.status) == {"ok"} and set(results.n) == {3}
    for name in ("kbps_exact", "snr", "lsd", "sliced_wasserstein", "energy_distance", "diversity"):
        assert results[name].notna().all(), name
    assert (results.psnr.isna() & results.bpp_exact.isna()).all()
    np.testing.assert_allclose(results.kbps_exact, results.rate_exact * 8, rtol=0.05)
    upper, lower = (results[results.level == k].set_index("trial") for k in (2, 1))
    assert (upper.kbps_exact > lower.kbps_exact).all()
    least = results.lambda_p == 0
    assert (results.diversity[least] == 0).all() and (results.diversity[~least] > 0).all()
    relative = results.rate_noisy / results.rate_estimated
    assert relative.between(0.8, 1.6).all()


def test_members_can_be_seen_and_heard(swept):
    (sheet, *_), (source, *_) = (
        sorted(swept.glob(f"trials/*lp=1/members_level_2{suffix}"))
        for suffix in (".png", "/source.wav")
    )
    with Image.open(sheet) as image:
        assert image.size[0] == 1350
    x, rate = sounds.read(source)
    member, _ = sounds.read(source.with_name("member_0.wav"))
    assert rate == 8000 and member.shape == x.shape and np.any(member != x)


def test_a_sound_goes_through_the_codec_of_a_trial_and_back(swept, tmp_path, capsys):
    def run(*arguments, status=0):
        assert main.main(list(map(str, arguments))) == status
        captured = capsys.readouterr()
        return captured.err if status else captured.out

    codec = f"--codec={tmp_path / 'codec'}"
    trial = table.read(swept / "table.csv").trial.iloc[-1]
    run("package", f"--workdir={swept}", f"--trial={trial}", codec)
    x = small_codec.sound(3000)
    sounds.write(tmp_path / "in.wav", x, 8000)
    assert "kbit/s" in run("compress", tmp_path / "in.wav", tmp_path / "x.syn", codec)
    run("inspect", tmp_path / "x.syn", codec)
    out = run("decompress", tmp_path / "x.syn", tmp_path / "out.flac", codec, "--members=2")
    assert "0.375 s at 8000 Hz, 16 bits" in out
    both = [sounds.read(tmp_path / f"out_{j}.flac")[0] for j in (0, 1)]
    assert both[0].shape == x.shape and np.any(both[0] != both[1])

    sounds.write(tmp_path / "fast.wav", x, 16000)
    assert "16000 samples a second; the codec takes 8000 Hz" in run(
        "compress", tmp_path / "fast.wav", tmp_path / "y.syn", codec, status=2
    )
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(tmp_path / "in.png")
    assert "is one of sounds, not of pictures" in run(
        "compress", tmp_path / "in.png", tmp_path / "y.syn", codec, status=2
    )
    assert not (tmp_path / "y.syn").exists()
    assert "holds no picture; sounds go to .wav, .flac" in run(
        "decompress", tmp_path / "x.syn", tmp_path / "o.png", codec, status=2
    )
