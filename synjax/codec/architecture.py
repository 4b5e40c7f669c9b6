"""What a codec is: its numbers, and the networks that they give."""

import dataclasses

import numpy as np

from synjax.codec import detail, layers, modulation, transforms


@dataclasses.dataclass(frozen=True)
class Architecture:
    """The numbers of a codec, and its networks.

    Attributes:
      rank: number of spatial axes of x, 2 for pictures, 1 for sounds and 0 for vectors.
      channels: C.
      groups: channels of each latent group; L = len(groups), K = sum(groups).
      grid: the λ's that one set of parameters serves.
      analysis_width, synthesis_widths, prior_width, detail_width: channels of the networks;
        sounds and vectors use the first of `synthesis_widths`. A `detail_width` of 0 is for codecs
        that never draw detail: nothing is fitted then, and there are no members.
      stride: pixels per latent position along each spatial axis, samples per frame of a sound.
      hyper: channels of a hyper-latent that is sent with the first group and from which all are
        predicted; 0 for none. With it and one group this is a mean-scale hyperprior (Minnen et al.
        2018, arXiv:1809.02736), without it and with one group a factorised prior.
      sample_rate: of sounds, in Hz.
      clipped: whether members are clipped to [0, 1], as pictures always are when they are decoded;
        for vectors whose elements often lie at its ends.
      context: whether half of a group's positions, as on a checkerboard, are predicted from the
        other half too.
    """

    rank: int
    channels: int
    groups: tuple[int, ...]
    grid: modulation.Grid
    analysis_width: int = 48
    synthesis_widths: tuple[int, int, int] = (128, 64, 48)
    prior_width: int = 96
    stride: int = 16
    detail_width: int = 128
    hyper: int = 0
    context: bool = False
    clipped: bool = False
    sample_rate: int = 0
    # Not of what a codec is but of how it was trained, and not in what names one.
    compute: str = dataclasses.field(default="float32", repr=False)
    rematerialise: bool = dataclasses.field(default=False, repr=False)

    def __post_init__(self):
        """Raises ValueError on an architecture that cannot be built."""
        if self.rank not in (0, 1, 2):
            raise ValueError(
                f"codec.rank must be 0 (vectors), 1 (sounds) or 2 (pictures), got {self.rank}"
            )
        if (self.rank == 1) != (self.sample_rate > 0) or (self.rank == 1 and self.channels > 1):
            raise ValueError(
                f"codec.sample_rate, {self.sample_rate}, is for sounds, which need one and have one"
                f" channel, not {self.channels}"
            )
        if not self.groups or min(self.groups) < 1:
            raise ValueError(f"codec.groups must be positive channel counts, got {self.groups}")
        if self.latents > self.coefficients:
            raise ValueError(
                f"codec.groups sum to {self.latents}, more than the {self.coefficients} "
                "coefficients of the KLT"
            )
        if self.rank and (self.stride < 8 or self.stride & (self.stride - 1)):
            raise ValueError(f"codec.stride must be a power of two from 8, got {self.stride}")
        if self.hyper < 0 or (self.hyper and self.rank != 2) or (self.context and not self.rank):
            raise ValueError(
                "codec.hyper must not be negative and is for pictures, codec.context for pictures "
                f"and sounds, got {self.hyper} and {self.context}"
            )
        if self.detail_width < 0:
            raise ValueError(f"codec.detail_width must not be negative, got {self.detail_width}")
        if self.compute not in layers.COMPUTE:
            raise ValueError(
                f"codec.compute is {self.compute!r}, must be one of {', '.join(layers.COMPUTE)}"
            )
        if not isinstance(self.rematerialise, bool):
            raise ValueError(
                f"codec.rematerialise must be True or False, got {self.rematerialise!r}"
            )

    @property
    def range(self):
        """Least and largest sample of a signal: of vectors there are none."""
        return {0: (-np.inf, np.inf), 1: (-1.0, 1.0), 2: (0.0, 1.0)}[self.rank]

    @property
    def as_deployed(self):
        """The codec as it encodes and decodes, in float32 however it was trained."""
        return dataclasses.replace(self, compute="float32", rematerialise=False)

    @property
    def _hidden(self):
        return layers.Layers(layers.COMPUTE[self.compute], self.rematerialise)

    @property
    def latents(self):
        """K."""
        return sum(self.groups)

    @property
    def levels(self):
        """L."""
        return len(self.groups)

    @property
    def coefficients(self):
        """E: coefficients of the full KLT, per latent position."""
        return self.channels * self.stride**self.rank

    @property
    def analysis_network(self):
        """g_a, a Flax module."""
        if self.rank == 0:
            return transforms.VectorAnalysis(self.latents, self.analysis_width, self._hidden)
        if self.rank == 1:
            return transforms.SoundAnalysis(
                self.latents, self.analysis_width, self.stride, self._hidden
            )
        return transforms.ImageAnalysis(
            self.latents, self.analysis_width, self.stride, self._hidden
        )

    @property
    def synthesis_network(self):
        """g_s, a Flax module."""
        if self.rank == 0:
            return transforms.VectorSynthesis(self.synthesis_widths[0], self._hidden)
        if self.rank == 1:
            return transforms.SoundSynthesis(self.synthesis_widths[0], self.stride, self._hidden)
        return transforms.ImageSynthesis(
            self.synthesis_widths, self.channels, self.stride, self._hidden
        )

    @property
    def detail_network(self):
        """The statistics of ŷ_ε, a Flax module."""
        return detail.Detail(self.coefficients, self.rank, self.detail_width, self._hidden)

    @property
    def amount_network(self):
        """How much of ŷ_ε reaches the synthesis, a Flax module."""
        return detail.Amount(self.coefficients, self.latents, self.levels, self.grid.perceptual)

    @property
    def activity_network(self):
        """Where in a picture the detail is strong, a Flax module."""
        return detail.Activity(hidden=self._hidden)

    @property
    def hyper_network(self):
        """What the hyper-latent is computed by from the latent, a Flax module."""
        return transforms.HyperAnalysis(self.hyper, self.prior_width, self._hidden)
