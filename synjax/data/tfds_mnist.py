"""MNIST by the builder of TFDS, from the four original files instead of from the network."""

import io
import pathlib

from PIL import Image

from synjax.data import folder, idx, mnist


def prepare(path, directory=None):
    """The builder of tfds:mnist whose shards are written, if they were not before.

    Args:
      path: folder of the four original files.
      directory: where TFDS keeps its data sets; None for its own default.

    Raises:
      ValueError: a file is missing or damaged; nothing is left then.
    """
    import tensorflow_datasets as tfds
    from tensorflow_datasets.image_classification import mnist as of_tfds

    with tfds.core.registered.skip_registration():
        made = _class(of_tfds.MNIST, path)
    builder = made(data_dir=directory, file_format="array_record")
    folder.write(builder)
    return builder


def _class(base, path):
    class Mnist(base):
        """The same data set, read from `path`."""

        name = "mnist"

        def _split_generators(self, dl_manager):
            del dl_manager
            return {split: self._generate_examples(split) for split in mnist.FILES}

        def _generate_examples(self, split):
            images, labels = mnist.FILES[split]
            images = idx.read(pathlib.Path(path, images), axes=3)
            labels = idx.read(pathlib.Path(path, labels), axes=1)
            for i, (pixels, label) in enumerate(zip(images, labels, strict=True)):
                encoded = io.BytesIO()
                Image.fromarray(pixels).save(encoded, "PNG")
                encoded.seek(0)
                yield i, {"image": encoded, "label": int(label)}

    return Mnist
