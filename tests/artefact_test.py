"""The codec of photographs that synjax comes with."""

import numpy as np
import pytest
from PIL import Image
from skimage import data

from synjax import coding, main
from synjax.codec import bitstream

LARGEST = 8e6  # bytes, all files together


def _psnr(path, x):
    error = np.asarray(Image.open(path), float) - x
    return 20 * np.log10(255) - 10 * np.log10(np.mean(error**2))


def test_it_is_small_and_says_what_it_is():
    files = list(coding.PHOTOGRAPHS.iterdir())
    assert sum(path.stat().st_size for path in files) <= LARGEST
    artefact = bitstream.load(coding.PHOTOGRAPHS)
    about = (coding.PHOTOGRAPHS.parent / "README.md").read_text()
    assert artefact.fingerprint[:4].hex() in about and "BSDS500" in about
    assert artefact.has_realism


def test_it_is_used_where_no_codec_is_named(tmp_path, capsys):
    x = data.astronaut()[:192, 100:292]
    photo, stream, member = (tmp_path / name for name in ("in.png", "out.syn", "out.png"))
    Image.fromarray(x).save(photo)
    assert main.main(["compress", str(photo), str(stream)]) == 0
    assert 8 * stream.stat().st_size / x[..., 0].size < 1.0
    assert main.main(["decompress", str(stream), str(member), "--members=2"]) == 0
    assert main.main(["decompress", str(stream), str(tmp_path / "mean.png"), "--realism=0"]) == 0
    first, second = (np.asarray(Image.open(tmp_path / f"out_{j}.png")) for j in range(2))
    assert not np.array_equal(first, second)
    assert _psnr(tmp_path / "mean.png", x) > _psnr(tmp_path / "out_0.png", x) > 24
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["in.wav", "in.flac"])
def test_it_is_not_of_sounds(tmp_path, capsys, name):
    import soundfile

    soundfile.write(tmp_path / name, np.zeros(800), 8000)
    assert main.main(["compress", str(tmp_path / name), str(tmp_path / "out.syn")]) == 2
    assert "is one of pictures, not of sounds" in capsys.readouterr().err
