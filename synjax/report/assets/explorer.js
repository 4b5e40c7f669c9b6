"use strict";
// The synset explorer: which trial by sliders, which member by keys, beside source and JPEG. Sounds
// are seen as spectrograms and heard from players.
{
  const BLINK = 700; // ms; slow enough for WCAG's three flashes a second
  const AXES = [
    ["lambda_d", "λ_d"],
    ["lambda_p", "λ_p"],
    ["level", "level"],
    ["realism", "β, realism"],
    ["seed", "seed"],
  ];
  const found = DATA.explorer;
  if (found) start();

  function start() {
    const state = { run: 0, name: found.signals[0].name, member: 0, blink: "", other: false };
    const form = byId("explorer").querySelector("form");
    const stage = byId("stage");
    form.addEventListener("submit", (event) => event.preventDefault());

    // A picture is in the page once: in the gallery, or in the data.
    const inGallery = {};
    for (const image of document.querySelectorAll("[data-picture]")) inGallery[image.dataset.picture] = image.src;
    const address = (name) => inGallery[name] ?? DATA.pictures[name];

    const unique = (values) => [...new Set(values)].sort((a, b) => a - b);
    const runs = unique(found.signals.map((signal) => signal.run));
    state.run = runs[0];
    let names, values; // of the chosen run
    const selects = [
      select("run", "Run", () => runs.map((run) => [run, found.runs[run]]), Number),
      select("name", "Signal", () => names.map((name) => [name, name]), String),
    ];
    const sliders = AXES.map(([axis, text]) => slider(axis, text));
    enter();
    for (const [axis] of AXES) state[axis] = values[axis].at(axis === "lambda_d" || axis === "seed" ? 0 : -1);

    // What the chosen run has; where it lacks what another one had, what is nearest.
    function enter() {
      const own = found.views.filter((view) => view.run === state.run);
      names = [...new Set(own.map((view) => found.signals[view.signal].name))];
      if (!names.includes(state.name)) state.name = names[0];
      values = Object.fromEntries(AXES.map(([axis]) => [axis, unique(own.map((view) => view[axis]))]));
      for (const [axis] of AXES) {
        const far = (value) => Math.abs(value - state[axis]);
        if (axis in state) state[axis] = values[axis].reduce((a, b) => (far(b) < far(a) ? b : a));
      }
      for (const fill of selects) fill();
    }

    function select(key, text, entries, type) {
      const list = make("select", { id: `choose-${key}` });
      const label = make("label", {}, text, list);
      list.addEventListener("change", () => {
        state[key] = type(list.value);
        if (key === "run") enter();
        show();
      });
      form.append(label);
      return () => {
        list.replaceChildren(...entries().map(([value, name]) => make("option", { value }, name)));
        list.value = state[key];
        label.hidden = list.length < 2;
      };
    }

    function slider(axis, text) {
      const id = `slider-${axis}`;
      const input = make("input", { type: "range", id, min: 0, step: 1 });
      const output = make("output", { for: id });
      input.addEventListener("input", () => { state[axis] = values[axis][input.value]; show(); });
      const label = make("label", { class: "slider", for: id }, make("span", {}, text), output, input);
      form.append(label);
      return () => {
        label.hidden = values[axis].length < 2;
        input.max = values[axis].length - 1;
        input.value = values[axis].indexOf(state[axis]);
        output.textContent = String(state[axis]);
        input.setAttribute("aria-valuetext", `${text} ${state[axis]}`);
      };
    }

    // The view at the sliders; a decoder without realism has one for all β.
    function current() {
      const own = found.views.filter((view) => view.run === state.run && found.signals[view.signal].name === state.name);
      const matches = (view, axes) => axes.every((axis) => view[axis] === state[axis]);
      return own.find((view) => matches(view, ["lambda_d", "lambda_p", "level", "realism", "seed"]))
        ?? own.find((view) => matches(view, ["lambda_d", "lambda_p", "level", "seed"]));
    }

    const number = (value, digits = 3) => (value === undefined || value === null ? "–" : Number(value.toPrecision(digits)).toString());

    function caption(figure, title, lines) {
      figure.querySelector("figcaption").replaceChildren(make("b", {}, title), ...lines.flatMap((line) => [make("span", {}, line), make("br")]));
    }

    function picture(figure, name, text) {
      const image = figure.querySelector("img");
      figure.hidden = !name;
      if (!name) return;
      image.src = address(name);
      image.alt = text;
    }

    // A player of a sound; one that is playing goes on with the new sound at the same moment.
    function player(figure, name, text) {
      const audio = figure.querySelector("audio");
      audio.hidden = !name;
      if (!name) return audio.pause();
      audio.setAttribute("aria-label", text);
      if (audio.dataset.sound === name) return;
      const { currentTime, paused } = audio;
      audio.dataset.sound = name;
      audio.src = address(name);
      if (paused) return;
      audio.currentTime = currentTime;
      audio.play();
    }

    function show() {
      sliders.forEach((update) => update());
      const view = current();
      stage.hidden = !view;
      if (!view) stage.querySelectorAll("audio").forEach((audio) => audio.pause());
      markGallery(view);
      if (!view) {
        const failed = DATA.failed.find((trial) => trial.run === state.run && trial.name.startsWith(`ld=${state.lambda_d},lp=${state.lambda_p}`));
        return say("explorer-status", failed ? `${failed.name}: ${failed.state}. ${failed.reason}` : "There are no members at this point.");
      }
      const signal = found.signals[view.signal];
      const [height, width] = signal.size;
      stage.style.setProperty("--ratio", `${width} / ${height}`);
      stage.classList.toggle("sounds", signal.heard !== undefined);
      state.member = Math.min(state.member, view.members.length - 1);
      const point = `λ_d ${view.lambda_d}, λ_p ${view.lambda_p}, level ${view.level}`;
      const isSound = signal.heard !== undefined;
      const part = isSound && signal.whole[0] > signal.seconds * signal.sample_rate + 1 ? "the middle " : "";
      const whole = isSound ? [`${part}${number(signal.seconds)} s at ${signal.sample_rate} Hz`, `0 to ${signal.sample_rate / 2000} kHz upwards, ${signal.decibels} dB from black to white`] : signal.whole[0] > height || signal.whole[1] > width ? [`its middle, ${width} × ${height} of ${signal.whole[1]} × ${signal.whole[0]} pixels`] : [`${width} × ${height} pixels`];
      picture(byId("view-source"), signal.source, `Source: ${signal.name}`);
      caption(byId("view-source"), `Source: ${signal.name}`, whole);
      player(byId("view-source"), signal.heard, `Source: ${signal.name}`);
      const unit = isSound ? " dB" : "";
      const member = state.member;
      const shown = { source: signal.source, jpeg: view.jpeg }[state.other ? state.blink : ""] ?? view.members[member];
      const isMember = shown === view.members[member];
      picture(byId("view-member"), shown, isMember ? `Member with address ${view.addresses[member]} at ${point}` : `${{ source: "Source", jpeg: "JPEG" }[state.blink]} in place of the member`);
      player(byId("view-member"), isSound ? (isMember ? view.heard[member] : signal.heard) : null, isMember ? `Member with address ${view.addresses[member]}` : "Source in place of the member");
      byId("view-member").firstElementChild.classList.toggle("blinking", !isMember);
      const metrics = view.metrics;
      const [rate] = [["bpp_exact", "bpp"], ["kbps_exact", "kbit/s"], ["rate_exact", "bits/dim"]]
        .filter(([name]) => metrics[name] !== undefined)
        .map(([name, unit]) => `${number(metrics[name])} ${unit}`);
      caption(byId("view-member"), isMember ? `Member, address ${view.addresses[member]}` : `${{ source: "Source", jpeg: "JPEG" }[state.blink]} in place of member ${view.addresses[member]}:`, [
        `${number(view.bytes, 6)} bytes, ${rate}`,
        `${view.quality[member].toFixed(2)} dB ${isSound ? "SNR" : "PSNR"}, MSE over members ${number(metrics.mse)}`,
        ...(metrics.lsd !== undefined ? [`log-spectral distance ${metrics.lsd.toFixed(2)} dB`] : []),
        ...(metrics.ms_ssim !== undefined ? [`MS-SSIM ${metrics.ms_ssim.toFixed(4)}`] : []),
        ...(metrics.consistency !== undefined ? [`consistency ${(100 * metrics.consistency).toFixed(1)} %`] : []),
      ]);
      picture(byId("view-spread"), view.spread, `Standard deviation of the members, per pixel, at ${point}`);
      caption(byId("view-spread"), "Where members differ", [
        view.members.length > 1 ? `std. dev. of ${view.members.length} members, rms ${number(view.spread_mean)}${unit}` : "one member: no deviation",
      ]);
      byId("view-spread").querySelector("figcaption").append(make("span", {}, "0 ", make("i", { class: "ramp", "aria-hidden": "true" }), ` ≥ ${number(signal.white)}${unit}`));
      picture(byId("view-jpeg"), view.jpeg, `JPEG of ${view.jpeg_bytes} bytes`);
      const nearest = view.jpeg_bytes > 1.1 * view.bytes ? "its smallest file is larger" : "nearest in bytes";
      if (view.jpeg) caption(byId("view-jpeg"), "JPEG", [`${view.jpeg_bytes} bytes, ${nearest}`, `${view.jpeg_psnr.toFixed(2)} dB PSNR`]);
      byId("blink-jpeg").hidden = !view.jpeg;
      byId("which").textContent = `member ${member + 1} of ${view.members.length}`;
      for (const id of ["previous", "next"]) byId(id).disabled = view.members.length < 2;
      if (!state.other) {
        const instead = view.realism === state.realism ? "" : ` It has one realism, β ${view.realism}.`;
        say("explorer-status", `${signal.name} at ${point}: ${number(view.bytes, 6)} bytes, member with address ${view.addresses[member]}, ${view.quality[member].toFixed(2)} dB.${instead}`);
      }
    }

    // The gallery is of the first signal, and of one level.
    function markGallery(view) {
      for (const figure of document.querySelectorAll(".gallery figure[data-lambda_d]")) {
        const isOf = (axis) => Number(figure.dataset[axis]) === view[axis];
        figure.classList.toggle("chosen", view?.signal === 0 && ["lambda_d", "lambda_p", "level"].every(isOf));
      }
    }

    function step(by) {
      const view = current();
      if (!view) return;
      state.member = (state.member + by + view.members.length) % view.members.length;
      show();
    }

    // Blinking: by a button, again and again; by a key, once for each press.
    let timer = 0;
    function flip(to, other = !(state.other && state.blink === to)) {
      if (to === "jpeg" && !current()?.jpeg) return; // a sound has none
      Object.assign(state, { blink: to, other });
      show();
    }
    function blink(to) {
      const stop = timer && state.blink === to;
      clearInterval(timer);
      timer = 0;
      if (!stop) timer = setInterval(() => flip(to), BLINK);
      flip(to, !stop);
      for (const id of ["source", "jpeg"]) byId(`blink-${id}`).setAttribute("aria-pressed", String(!stop && id === to));
    }
    function play() {
      const audio = byId("view-member").querySelector("audio");
      if (audio.hidden) return;
      if (audio.paused) audio.play();
      else audio.pause();
    }
    byId("previous").addEventListener("click", () => step(-1));
    byId("next").addEventListener("click", () => step(1));
    byId("blink-source").addEventListener("click", () => blink("source"));
    byId("blink-jpeg").addEventListener("click", () => blink("jpeg"));
    stage.addEventListener("keydown", (event) => {
      if (event.target.tagName === "AUDIO" || event.ctrlKey || event.metaKey || event.altKey) return;
      const keys = { ArrowLeft: () => step(-1), ArrowRight: () => step(1), " ": () => flip("source"), p: play, P: play, j: () => flip("jpeg"), J: () => flip("jpeg") };
      if (!keys[event.key]) return;
      event.preventDefault();
      keys[event.key]();
    });

    // All pictures are enlarged about the same place, which follows the pointer.
    const images = [...stage.querySelectorAll("img")];
    const place = (x, y) => images.forEach((image) => (image.style.transformOrigin = `${x}% ${y}%`));
    byId("zoom").addEventListener("input", ({ target }) => {
      images.forEach((image) => (image.style.transform = `scale(${target.value})`));
      target.nextElementSibling.textContent = `${target.value}×`;
    });
    stage.addEventListener("pointermove", (event) => {
      const frame = event.target.closest(".frame")?.getBoundingClientRect();
      if (frame) place((100 * (event.clientX - frame.left)) / frame.width, (100 * (event.clientY - frame.top)) / frame.height);
    });

    for (const figure of document.querySelectorAll(".gallery figure[data-lambda_d]")) {
      const { lambda_d, lambda_p, level } = figure.dataset;
      const go = () => {
        Object.assign(state, { run: found.signals[0].run, name: found.signals[0].name });
        enter();
        Object.assign(state, { lambda_d: Number(lambda_d), lambda_p: Number(lambda_p), level: Number(level), realism: values.realism.at(-1) });
        show();
      };
      figure.addEventListener("click", go);
    }
    onChosen((row, from) => {
      const view = found.views.find((one) => one.row === row && found.signals[one.signal].name === state.name) ?? found.views.find((one) => one.row === row);
      if (!view) return;
      for (const key of ["run", ...AXES.map(([axis]) => axis)]) state[key] = view[key];
      state.name = found.signals[view.signal].name;
      enter();
      show();
      if (from === "look") {
        byId("synsets").scrollIntoView({ behavior: calm.matches ? "auto" : "smooth" });
        stage.focus({ preventScroll: true });
      }
    });
    show();
  }
}
