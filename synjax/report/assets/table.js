"use strict";
// The table: sorted by a column, filtered by words and comparisons, copied as it is shown.
{
  const grid = byId("results");
  const columns = DATA.columns;
  const OPERATORS = {
    "<=": (a, b) => a <= b,
    ">=": (a, b) => a >= b,
    "!=": (a, b) => a !== b,
    "<": (a, b) => a < b,
    ">": (a, b) => a > b,
    "=": (a, b) => a === b,
  };
  const NAMES = { "λ_d": "lambda_d", "λ_p": "lambda_p", "β": "realism", bpp: "bpp_exact", rate: "rate_exact" };
  if (grid) start();
  else for (const control of document.querySelectorAll("#table .js")) control.hidden = true;

  function start() {
    const body = grid.tBodies[0];
    const heads = [...grid.tHead.rows[0].cells];
    const sorted = { column: -1, falling: false };

    heads.forEach((head, column) => {
      const button = make("button", { type: "button" });
      button.append(...head.firstElementChild.childNodes);
      head.firstElementChild.replaceWith(button);
      button.addEventListener("click", () => sort(column));
    });

    function sort(column) {
      sorted.falling = sorted.column === column && !sorted.falling;
      sorted.column = column;
      const sign = sorted.falling ? -1 : 1;
      const rows = [...body.rows].map((row) => [key(row.cells[column]), row]);
      rows.sort(([a], [b]) => {
        if (a === null || b === null) return (a === null) - (b === null); // what is missing, last
        return sign * (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
      });
      body.append(...rows.map(([, row]) => row));
      heads.forEach((head) => head.removeAttribute("aria-sort"));
      const way = sorted.falling ? "descending" : "ascending";
      heads[column].setAttribute("aria-sort", way);
      say("table-status", `Sorted by ${heads[column].dataset.heading}, ${way}. ${count()}`);
    }

    function key(cell) {
      if (cell.dataset.value !== undefined) return Number(cell.dataset.value);
      const text = cellText(cell);
      return text === "–" ? null : text;
    }

    const shown = () => [...body.rows].filter((row) => !row.hidden);
    const count = () => `${shown().length} of ${body.rows.length} rows.`;

    // One word of the filter as a test of (row of data, its text).
    function test(word) {
      const match = /^([^<>=!]+)(<=|>=|!=|<|>|=)(.+)$/.exec(word);
      const column = match ? columns.indexOf(NAMES[match[1]] ?? match[1]) : -1;
      if (column < 0) return (_, text) => text.includes(word.toLowerCase());
      const [, , operator, asked] = match;
      const holds = OPERATORS[operator];
      return (values) => {
        const value = values[column];
        if (typeof value === "number") return holds(value, Number(asked));
        return value !== null && holds(String(value).toLowerCase(), asked.toLowerCase());
      };
    }

    byId("filter").addEventListener("input", (event) => {
      const tests = event.target.value.split(/\s+/).filter(Boolean).map(test);
      for (const row of body.rows) {
        const values = DATA.rows[row.dataset.row];
        const text = `${row.textContent} ${values.join(" ")}`.toLowerCase();
        row.hidden = !tests.every((holds) => holds(values, text));
      }
      say("table-status", count());
    });

    // What a copy holds.
    const quoted = (value) => {
      const text = value === null ? "" : String(value);
      return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    };
    const cells = (row) => [...row.cells].map(cellText);
    const names = () => heads.map((head) => head.dataset.heading);
    const right = () => heads.map((head) => head.classList.contains("right"));
    const FORMATS = {
      csv: () => [columns, ...shown().map((row) => DATA.rows[row.dataset.row])].map((row) => row.map(quoted).join(",")),
      markdown: () => {
        const line = (row) => `| ${row.map((text) => text.replace(/([\\|])/g, "\\$1").replaceAll("<", "&lt;")).join(" | ")} |`;
        const rule = `|${right().map((is) => (is ? "---:" : "---")).join("|")}|`;
        return [line(names()), rule, ...shown().map((row) => line(cells(row)))];
      },
      latex: () => {
        const kinds = right().map((is) => (is ? "r" : "l")).join("");
        const line = (row) => row.map(latex).join(" & ") + " \\\\";
        return [
          "% Needs \\usepackage{booktabs}.", `\\begin{tabular}{${kinds}}`, "\\toprule", line(names()), "\\midrule",
          ...shown().map((row) => line(cells(row))), "\\bottomrule", "\\end{tabular}",
        ];
      },
    };
    for (const [format, lines] of Object.entries(FORMATS)) {
      byId(`copy-${format}`).addEventListener("click", async (event) => {
        const done = await copy(lines().join("\n") + "\n");
        const name = event.target.textContent.replace("Copy ", "");
        say("table-status", done ? `${shown().length} rows copied as ${name}.` : "The browser does not let the page copy.");
      });
    }

    onChosen((number, from) => {
      body.querySelector(".chosen")?.classList.remove("chosen");
      const row = byId(`row-${number}`);
      row?.classList.add("chosen");
      if (row && from === "chart") {
        row.hidden = false;
        row.scrollIntoView({ block: "center", behavior: calm.matches ? "auto" : "smooth" });
        row.focus({ preventScroll: true });
      }
    });
    body.addEventListener("click", (event) => {
      const row = event.target.closest("tr");
      const isLook = event.target.closest(".look");
      if (row) choose(Number(row.dataset.row), isLook ? "look" : "table");
    });
    say("table-status", count());
  }

  function cellText(cell) {
    return [...cell.childNodes].filter((node) => !node.classList?.contains("look")).map((node) => node.textContent).join("").trim();
  }

  function latex(text) {
    const product = /^(-?\d(?:\.\d*)?)e([+-]\d+)$/.exec(text);
    if (product) return `$${product[1]}\\times10^{${Number(product[2])}}$`;
    if (/^-\d+(\.\d*)?$/.test(text)) return `$${text}$`;
    const special = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "–": "--", "<": "\\textless{}", ">": "\\textgreater{}", "|": "\\textbar{}" };
    return text.replace(/λ_([dp])|[\\~^–<>|&%$#_{}]/g, (sign, of) => (of ? `$\\lambda_${of}$` : (special[sign] ?? `\\${sign}`)));
  }
}
