"""From nothing to a rate–distortion–perception table of photographs.

    ./launch.sh

Three λ_d by four λ_p at two levels: 24 rows. See `configs/photos.py` for the codec and the sweep.
"""

import importlib.util
import pathlib


def get_config(arg=""):
    """The configuration of `configs/photos.py`; `arg` is passed on."""
    path = pathlib.Path(__file__).parents[1] / "configs" / "photos.py"
    spec = importlib.util.spec_from_file_location("photos", path)
    photos = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(photos)
    config = photos.get_config(arg)
    config.name = "quickstart" if not arg else f"quickstart_{arg}"
    return config
