"use strict";
// The charts that can be turned, hovered and clicked; the same data as the static ones.
{
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  const pick = (pair) => pair[isDark.matches ? 1 : 0];
  // Plotly reads a little markup in labels: what comes from files has none.
  const plain = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  // Where nothing hovers the bar is always there: few buttons, so that no title lies below them.
  const config = (home) => ({ responsive: true, displaylogo: false, modeBarButtons: [["toImage", home]] });

  function layout(title) {
    return {
      title: { text: plain(title), font: { size: 14 }, x: 0, xref: "paper" },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("soft") },
      font: { color: colour("ink"), family: "system-ui, sans-serif", size: 12 },
      margin: { l: 62, r: 12, t: 36, b: 46 },
      showlegend: false, // the keys below can be reached without a pointer
      hoverlabel: { bgcolor: colour("card"), font: { color: colour("ink") } },
    };
  }

  const axis = (label, log) => ({
    title: { text: plain(label), standoff: 8 }, type: log ? "log" : "linear",
    nticks: log ? 4 : undefined, // more would be every digit
    gridcolor: colour("line"), zeroline: false, linecolor: colour("soft"), exponentformat: "power",
  });

  function traces(chart) {
    return chart.series.map((one) => {
      return {
        type: "scatter", name: plain(one.label),
        mode: [one.dash && "lines", one.marker && "markers"].filter(Boolean).join("+"),
        x: one.x, y: one.y, customdata: one.rows.length ? one.rows : undefined,
        line: { color: pick(one.colour), dash: one.dash || "solid", width: 1.7 },
        marker: { color: pick(one.colour), symbol: one.marker || "circle", size: 8 },
        error_y: one.error.some((value) => value) ? { type: "data", array: one.error, thickness: 1, width: 3 } : undefined,
        hovertemplate: `${plain(one.label)}<br>%{x:.4g}, %{y:.4g}<extra></extra>`,
      };
    });
  }

  function draw(id, chart) {
    const place = byId(id);
    const shown = layout(chart.title);
    shown.xaxis = axis(chart.x_label, chart.x_log);
    shown.yaxis = axis(chart.y_label, chart.y_log);
    shown.hovermode = "closest";
    shown.shapes = chart.marks.map(([x]) => ({ type: "line", x0: x, x1: x, yref: "paper", y0: 0, y1: 1, line: { dash: "dot", width: 1, color: colour("soft") } }));
    shown.annotations = chart.marks.map(([x, text]) => ({ x, y: 1, yref: "paper", text: plain(text), showarrow: false, xanchor: "left", yanchor: "top", font: { size: 11, color: colour("soft") } }));
    label(place, `${chart.title}: ${chart.y_label} against ${chart.x_label}. The values are in the table.`);
    Plotly.react(place, traces(chart), shown, config("resetScale2d"));
    link(place);
    // The static chart's own key; what is in a summary stays in it.
    const own = document.querySelector(`figure[data-chart="${CSS.escape(chart.name)}"] .legend`);
    const whole = (own?.parentElement.closest("details:has(> .legend)") ?? own)?.cloneNode(true);
    const note = chart.note ? [make("p", { class: "note" }, chart.note)] : [];
    place.nextElementSibling.replaceChildren(...(whole ? [whole] : []), ...note);
    for (const item of place.nextElementSibling.querySelectorAll("li")) toggling(item, place, plain(item.textContent));
  }

  // Makes an entry of a key show and hide the curves of its name.
  function toggling(item, place, name) {
    const button = make("button", { type: "button", "aria-pressed": "true" }, ...item.childNodes);
    item.replaceChildren(button);
    button.addEventListener("click", () => {
      const shown = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(shown));
      const own = place.data.flatMap((trace, index) => (trace.name === name ? [index] : []));
      Plotly.restyle(place, { visible: shown }, own);
    });
  }

  function label(place, text) {
    place.setAttribute("role", "img");
    place.setAttribute("aria-label", text);
  }

  function link(place) {
    if (place.dataset.linked) return;
    place.dataset.linked = "yes";
    place.on("plotly_click", ({ points }) => {
      const row = points[0].customdata;
      if (Number.isInteger(row)) choose(row, "chart");
    });
  }

  // The surface: a sheet for each level, a line where only one weight varies, bounds as a veil.
  function surface(quality, divergence) {
    const [rate, rateLabel] = DATA.rate;
    const found = [];
    DATA.sheets.forEach((sheet, number) => {
      const values = (name) => sheet.values[name];
      const [x, y, z] = [rate, quality[0], divergence[0]].map(values);
      const name = plain(sheet.label || "measured");
      const shade = pick(sheet.colour);
      const group = { name };
      if (sheet.lambda_d.length > 1 && sheet.lambda_p.length > 1) {
        found.push({ ...group, type: "surface", x, y, z, opacity: 0.55, showscale: false, hoverinfo: "skip", colorscale: [[0, shade], [1, shade]], contours: { x: { highlight: false }, y: { highlight: false }, z: { highlight: false } } });
        const bound = sheet.values.rate_bound;
        if (rate === "rate_exact" && bound?.flat().some((value) => value !== null))
          found.push({ type: "surface", x: bound, y, z, name: "R(D, P)", opacity: 0.25, showscale: false, hoverinfo: "skip", colorscale: [[0, colour("soft")], [1, colour("soft")]] });
      }
      const error = values(`${divergence[0]}_se`)?.flat();
      const text = sheet.lambda_d.flatMap((d) => sheet.lambda_p.map((p) => `λ_d ${d}, λ_p ${p}`));
      found.push({
        ...group, type: "scatter3d", mode: "markers", x: x.flat(), y: y.flat(), z: z.flat(), text, customdata: sheet.rows.flat(),
        marker: { size: 4.5, color: shade }, error_z: error ? { type: "data", array: error, thickness: 1, width: 2, color: shade } : undefined,
        hovertemplate: `%{text}<br>rate %{x:.4g}<br>${plain(quality[1])} %{y:.4g}<br>${plain(divergence[1])} %{z:.4g}<extra>${name}</extra>`,
      });
      // The wires of the sheet: along λ_p at one λ_d, and along λ_d at one λ_p.
      const wires = { x: [], y: [], z: [] };
      const wire = (cells) => { for (const [i, j] of cells) { wires.x.push(x[i][j]); wires.y.push(y[i][j]); wires.z.push(z[i][j]); } for (const key of "xyz") wires[key].push(null); };
      const [I, J] = [sheet.lambda_d.length, sheet.lambda_p.length];
      for (let i = 0; i < I; i++) wire([...Array(J).keys()].map((j) => [i, j]));
      for (let j = 0; j < J; j++) wire([...Array(I).keys()].map((i) => [i, j]));
      found.push({ ...group, type: "scatter3d", mode: "lines", ...wires, line: { color: shade, width: 2.5 }, hoverinfo: "skip" });
    });
    const shown = layout("The surface: turn it");
    const place = byId("plot-surface");
    const far = place.clientWidth < 560 ? 1.6 : 0.97; // a narrow place needs room for its numbers
    const all = DATA.sheets.flatMap((sheet) => sheet.values[divergence[0]].flat()).filter((value) => value !== null);
    const log = all.length && Math.min(...all) > 0 && Math.max(...all) > 10 * Math.min(...all);
    const side = (text, isLog) => ({ ...axis(text, isLog), backgroundcolor: "rgba(0,0,0,0)", showbackground: false, title: { text: plain(text), font: { size: 11 } } });
    const aspect = { aspectmode: "manual", aspectratio: { x: 1.25, y: 1.25, z: 0.9 } }; // of unlike units
    shown.scene = { ...aspect, xaxis: side(rateLabel), yaxis: side(quality[1]), zaxis: side(divergence[1], log), camera: { eye: { x: -1.6 * far, y: -1.65 * far, z: 0.8 * far }, center: { x: 0, y: 0, z: -0.12 } }, uirevision: "kept" };
    shown.margin = { l: 0, r: 0, t: 36, b: 0 };
    label(place, `Rate, ${quality[1]} and ${divergence[1]} as a surface for each level. The values are in the table.`);
    Plotly.react(place, found, shown, config("resetCameraDefault3d"));
    link(place);
    const key = make("ul", { class: "legend" });
    if (DATA.sheets.length > 1)
      for (const sheet of DATA.sheets) {
        const dot = make("span", { "aria-hidden": "true", style: `color:${pick(sheet.colour)}` }, "● ");
        const item = make("li", {}, dot, sheet.label);
        key.append(item);
        toggling(item, place, plain(sheet.label));
      }
    place.nextElementSibling.replaceChildren(key);
  }

  function options(select, entries) {
    select.append(...entries.map(([value, text]) => make("option", { value }, text)));
    select.closest("label").hidden = entries.length < 2;
  }

  // Each place is drawn when it comes into view, and again when what it shows changes.
  const jobs = new Map();
  const seen = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) if (isIntersecting) jobs.get(target)?.();
  }, { rootMargin: "200px" });

  function later(id, job) {
    const place = byId(id);
    seen.unobserve(place);
    jobs.set(place, () => { jobs.delete(place); job(); });
    seen.observe(place);
  }

  function drawAll() {
    const quality = DATA.qualities.find(([name]) => name === byId("quality").value);
    const divergence = DATA.divergences.find(([name]) => name === byId("divergence").value);
    byId("plot-surface").parentElement.hidden = !(quality && divergence);
    if (quality && divergence) later("plot-surface", () => setTimeout(surface, 0, quality, divergence)); // the slowest, last
    const chosen = {
      "plot-rate-quality": quality && DATA.charts[`rate_${quality[0]}`],
      "plot-distortion-divergence": divergence && DATA.charts[`distortion_${divergence[0]}`],
      "plot-rate-divergence": divergence && DATA.charts[`rate_${divergence[0]}`],
      "plot-training": DATA.training[byId("metric").value],
    };
    for (const [id, chart] of Object.entries(chosen)) {
      byId(id).parentElement.hidden = !chart;
      if (chart) later(id, () => draw(id, chart));
    }
  }

  options(byId("quality"), DATA.qualities);
  options(byId("divergence"), DATA.divergences);
  options(byId("metric"), Object.entries(DATA.training).map(([name, chart]) => [name, chart.y_label]));
  for (const id of ["quality", "divergence", "metric"]) byId(id).addEventListener("change", drawAll);
  isDark.addEventListener("change", drawAll);
  // Where there is nothing to draw, the sentence of the static page says so.
  for (const [id, entries] of [["surface", DATA.rows], ["training", Object.keys(DATA.training)]])
    if (!entries.length) {
      const section = byId(id);
      section.querySelector(".js").hidden = true;
      section.querySelector(".static").classList.remove("static");
    }
  if (DATA.rows.length || Object.keys(DATA.training).length) drawAll();
}
