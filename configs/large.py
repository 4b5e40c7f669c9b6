"""Photographs, by a codec of 76.8 M parameters for a pod: bfloat16 and rematerialisation.

    ./launch.sh sweep --config=configs/large.py --workdir=runs/large

trains on the photographs of `configs/photos.py`, which show that it runs and are far too few for
it: set `data.source` and its options to a collection of one's own. What a step computes, holds
and sends, and what that costs on eight H100 and on a v5e-256, is in docs/scaling.md; no accelerator
has trained it to its end, so that there is no result to expect yet.
`:tiny` is the same in miniature, for tests, and the names of `_stand_ins.py` have something else
in place of the sliced distance.
"""

from configs import _stand_ins, photos


def get_config(arg=""):
    """The configuration; `arg` is "", or "tiny" and a name of `_stand_ins.STAND_INS`.

    Raises:
      ValueError: any other `arg`.
    """
    tiny, stand_in = _stand_ins.parse("large", arg)
    config = photos.get_config("tiny" if tiny else "")
    config.name = "large_tiny" if tiny else "large"
    config.codec.update({"compute": "bfloat16", "rematerialise": True})
    if not tiny:
        # Widths in multiples of 128, the side of a TPU's matrix unit.
        config.codec.update(
            {
                "analysis_width": 384,
                "synthesis_widths": (1024, 512, 256),
                "prior_width": 512,
                "detail_width": 768,
            }
        )
        shared = {"crop": 192, "warmup": 5000, "decay": 0.9999, "checkpoint_every": 5000}
        # Four crops for each of 256 chips: with fewer the gradients take longer than they save.
        config.stages.fidelity.update(
            shared | {"steps": 1_000_000, "batch": 1024, "conditions": 2, "learning_rate": 2e-4}
        )
        config.stages.perception.update(
            shared | {"steps": 200_000, "batch": 1024, "conditions": 2, "learning_rate": 1e-4}
        )
    if stand_in:
        _stand_ins.apply(config, stand_in)
    return config
