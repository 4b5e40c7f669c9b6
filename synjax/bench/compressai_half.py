"""CompressAI's half of the comparison, run as a program by a Python that has CompressAI.

    python compressai_half.py BATCH CROP CHANNELS LATENTS THREADS

says what it is in one line of JSON. To every line with a number it answers with the seconds of as
many training steps: the rate and 0.0130·255² times the error, the middle of CompressAI's own λ's,
with Adam; without the auxiliary loss of the quantiles, which a whole training has besides.
"""

import json
import math
import sys
import time


def main(batch, crop, channels, latents, threads):
    """Answers until its input ends."""
    import compressai
    import torch
    from compressai.models import FactorizedPrior

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = FactorizedPrior(channels, latents).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    x = torch.rand(batch, 3, crop, crop)

    def step():
        optimizer.zero_grad()
        out = model(x)
        rate = sum(-torch.log2(p).sum() for p in out["likelihoods"].values())
        loss = rate / (batch * crop**2) + 0.0130 * 255**2 * torch.mean((x - out["x_hat"]) ** 2)
        loss.backward()
        optimizer.step()
        return loss.item()

    about = {
        "library": f"compressai {compressai.__version__}, torch {torch.__version__}",
        "macs": _macs(model, x[:1]),
        "parameters": sum(p.numel() for p in model.parameters()),
    }
    print(json.dumps(about), flush=True)
    for line in sys.stdin:
        seconds = []
        for _ in range(int(line)):
            began = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - began)
        print(json.dumps(seconds), flush=True)


def _macs(model, x):
    """Multiply-accumulates of g_a and g_s for one image, as hooks see them.

    Of a convolution every output position, and of a transposed one every input position, takes the
    whole kernel; a GDN layer is a 1 x 1 convolution of the squares.
    """
    import torch
    from compressai import layers

    total = []

    def count(module, given, out):
        if isinstance(module, layers.GDN):
            total.append(out.numel() * out.shape[1])
        else:
            swapped = isinstance(module, torch.nn.ConvTranspose2d)
            positions = math.prod((given[0] if swapped else out).shape[2:])
            total.append(positions * math.prod(module.weight.shape))

    kinds = (torch.nn.Conv2d, torch.nn.ConvTranspose2d, layers.GDN)
    found = [m for half in (model.g_a, model.g_s) for m in half.modules() if isinstance(m, kinds)]
    handles = [module.register_forward_hook(count) for module in found]
    with torch.no_grad():
        model(x)
    for handle in handles:
        handle.remove()
    return sum(total)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
