"""One member of each trial beside its source, as a grid of λ_d by λ_p: the page at one glance."""

from synjax.report.markup import escape


def html(data, addresses):
    """The grid of the first test signal at the highest level, of the first run.

    Args:
      data, addresses: from `pictures.explorer`.

    Returns:
      (HTML, names of the pictures that it holds).
    """
    signal = data["signals"][0]
    views = [view for view in data["views"] if view["signal"] == 0]
    level, seed = max(view["level"] for view in views), min(view["seed"] for view in views)
    views = [view for view in views if (view["level"], view["seed"]) == (level, seed)]
    at = {}
    for view in sorted(views, key=lambda view: view["realism"]):  # the most realistic last
        at[view["lambda_d"], view["lambda_p"]] = view
    lambda_d = sorted({d for d, _ in at})
    lambda_p = sorted({p for _, p in at})
    used = [signal["source"], *filter(None, [signal.get("heard")])]
    source = _picture(addresses, signal["source"], f"source, {signal['name']}")
    source += _player(addresses, signal.get("heard"), "source")
    head = "".join(f'<th scope="col">λ_p {p:g}</th>' for p in lambda_p)
    lines = [
        f'<tr><td></td><td colspan="{len(lambda_p)}" class="source"><figure>{source}'
        f"<figcaption>source: {escape(signal['name'])}</figcaption></figure></td></tr>"
    ]
    for d in lambda_d:
        cells = ""
        for p in lambda_p:
            view = at.get((d, p))
            if view is None:
                cells += '<td class="missing">no member</td>'
                continue
            used += [view["members"][0], *(view["heard"] or [])[:1]]
            cells += _cell(addresses, view, d, p)
        lines.append(f'<tr><th scope="row">λ_d {d:g}</th>{cells}</tr>')
    caption = f"{signal['name']}, level {level}: a member of each synset"
    kind = "scroll gallery sounds" if signal.get("heard") else "scroll gallery"
    grid = (
        f'<div class="{kind}" tabindex="0" role="region" aria-label="{escape(caption)}">'
        f"<table><caption>{escape(caption)}</caption><thead><tr><td></td>{head}</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )
    return grid, used


def _cell(addresses, view, d, p):
    cost = f"{view['bytes']:.6g} bytes, {view['quality'][0]:.1f} dB"
    text = f"member at λ_d {d:g}, λ_p {p:g}: {cost}"
    picture = _picture(addresses, view["members"][0], text)
    picture += _player(addresses, view["heard"] and view["heard"][0], text)
    return (
        f'<td><figure data-lambda_d="{d!r}" data-lambda_p="{p!r}" '
        f'data-level="{view["level"]}">{picture}<figcaption>{cost}</figcaption></figure></td>'
    )


def _picture(addresses, name, text):
    return f'<img data-picture="{name}" src="{addresses[name]}" alt="{escape(text)}">'


def _player(addresses, name, text):
    """What plays a sound where the explorer, which has its own players, does not run."""
    if not name:
        return ""
    return (
        f'<audio class="static" controls preload="none" data-picture="{name}" '
        f'src="{addresses[name]}" aria-label="{escape(text)}"></audio>'
    )
