"""The input pipeline against what training consumes."""

from synjax.bench import steps, timing
from synjax.training import loop, mesh

COUNT = 20  # batches of one timed run


def measure(plan, settings):
    """Reads batches as training does, with nothing else to do, and times the step that eats them.

    Args:
      plan: `training.plan.Plan`.
      settings: `settings.Settings`.

    Yields:
      A row for each stage: a dict for JSON. An example is a crop of a picture, or a vector.
    """
    for stage in steps.stages_of(plan):
        read = loop.batches(
            plan.source, stage, plan.config["data"]["augment"], plan.seed, 0, mesh.make()
        )
        batch = timing.median(lambda r=read: [next(r) for _ in range(COUNT)], settings.repeats)
        batch /= COUNT
        step = timing.median(steps.make(plan, stage), settings.repeats, steps.LEAST)
        yield {
            "stage": stage.name,
            "batch": stage.batch,
            "crop": stage.crop,
            "input_examples_per_s": round(stage.batch / batch, 1),
            "training_examples_per_s": round(stage.batch / step, 1),
            "times_what_training_consumes": round(step / batch, 2),
            "bar": 2.0,
        }
