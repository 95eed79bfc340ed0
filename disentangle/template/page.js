"use strict";
// Sorting, filters and single runs. Everything is in this file: nothing is fetched.
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const store = JSON.parse($("#runs").textContent);
  const pictures = JSON.parse($("#pictures").textContent);
  const form = $("#filters"), dialog = $("#run");

  // What an element is made of; texts are never read as HTML.
  const el = (name, attributes = {}, ...children) => {
    const made = name.startsWith("svg:") ? document.createElementNS("http://www.w3.org/2000/svg", name.slice(4)) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) if (value !== undefined && value !== null) made.setAttribute(key, value);
    made.append(...children.filter((child) => child !== null && child !== undefined));
    return made;
  };

  // A metric id, which may be broken before its brackets.
  const code = (id) => { const [stem, ...rest] = id.split(/(?=\[)/); return el("code", {}, stem, ...rest.flatMap((part) => [el("wbr"), part])); };

  // ---- colours
  const themes = ["auto", "light", "dark"];
  const theme = (name) => {
    if (name === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = name;
    $("#theme").textContent = `Colours: ${name}`;
    try { localStorage.setItem("disentangle-theme", name); } catch { /* a browser may refuse it */ }
  };
  let kept = "auto";
  try { kept = localStorage.getItem("disentangle-theme") || "auto"; } catch { /* the same */ }
  theme(themes.includes(kept) ? kept : "auto");
  $("#theme").addEventListener("click", () => {
    const now = document.documentElement.dataset.theme || "auto";
    theme(themes[(themes.indexOf(now) + 1) % themes.length]);
  });

  // ---- sorting: the best first, then the worst, then the study's own order
  const value = (row, index, kind) => {
    const cell = row.children[index];
    if (kind === "number") return cell.dataset.v === undefined ? null : Number(cell.dataset.v);
    return cell.textContent.trim();
  };
  // Texts are sorted by the sizes of the numbers in them: beta=0.5 after beta=0.25, 1,000 after 500.
  const parts = (text) => text.split(/((?:(?<=^|[=\s])-)?(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d*\.?\d+(?:e[-+]?\d+)?))/i);
  const compare = (x, y) => {
    const a = parts(x), b = parts(y);
    for (let i = 0; i < Math.min(a.length, b.length); i++) {
      const by = i % 2 ? Number(a[i].replaceAll(",", "")) - Number(b[i].replaceAll(",", "")) : a[i].localeCompare(b[i], "en");
      if (by) return by;
    }
    return a.length - b.length;
  };
  const sort = (button) => {
    const head = button.closest("th"), table = button.closest("table"), kind = button.dataset.kind;
    const index = [...head.parentNode.children].indexOf(head);
    const first = kind === "number" && button.dataset.less === "0" ? "descending" : "ascending";
    const second = first === "ascending" ? "descending" : "ascending";
    const now = head.getAttribute("aria-sort");
    const next = now === first ? second : now === second ? null : first;
    for (const other of $$("th[aria-sort]", table)) other.removeAttribute("aria-sort");
    if (next) head.setAttribute("aria-sort", next);
    const body = $("tbody.run", table);
    if (!body) return;
    const rows = [...body.rows];
    rows.forEach((row, i) => { row.dataset.order ??= i; });
    const sign = next === "descending" ? -1 : 1;
    rows.sort((a, b) => {
      if (!next) return a.dataset.order - b.dataset.order;
      const x = value(a, index, kind), y = value(b, index, kind);
      if (x === null || y === null) return (x === null) - (y === null) || a.dataset.order - b.dataset.order;
      return sign * (kind === "number" ? x - y : compare(x, y)) || a.dataset.order - b.dataset.order;
    });
    body.append(...rows);
  };
  $$(".sort").forEach((button) => button.addEventListener("click", () => sort(button)));

  // ---- filters, kept in the address
  const fields = ["place", "method", "metric", "rule", "text", "spread"], boxes = ["calibration", "published"];
  const state = () => Object.fromEntries([...fields.map((name) => [name, form[name].value]), ...boxes.map((name) => [name, form[name].checked])]);
  let open = null, pushed = false;  // the run that is shown, and whether going back in the browser's history closes it
  const isPlace = () => location.hash && !location.hash.includes("=");  // in the page, such as #figures
  const remember = () => {
    const now = state(), told = new URLSearchParams();
    for (const name of fields) if (now[name]) told.set(name, now[name]);
    for (const name of boxes) if (!now[name]) told.set(name, "no");
    if (open) told.set("run", open);
    const next = told.toString() && `#${told}`;
    if (next !== location.hash && (next || !isPlace())) history.replaceState(null, "", next || location.pathname + location.search);
  };
  const filter = () => {
    const now = state(), text = now.text.trim().toLowerCase(), score = now.metric.split(" ").pop();
    $("main").classList.toggle("stds", now.spread === "std");
    let lines = 0;
    for (const board of $$("section.board")) {
      board.hidden = board.dataset.rule !== now.rule || Boolean(now.place && board.dataset.place && board.dataset.place !== now.place);
      for (const row of $$("tbody.run tr", board)) {
        row.hidden = Boolean((now.method && row.dataset.method !== now.method) || (text && !row.dataset.text.includes(text)));
        lines += !board.hidden && !row.hidden;
      }
      for (const cell of $$("[data-metric]", board)) cell.hidden = Boolean(now.metric && cell.dataset.metric !== now.metric);
      for (const body of $$("tbody.calibration", board)) body.hidden = !now.calibration;
    }
    for (const part of $$("figure[data-place]")) part.hidden = Boolean(now.place && part.dataset.place !== now.place);
    const places = new Set($$("section.board").filter((board) => !board.hidden).map((board) => board.dataset.place.split("|")[0]));
    for (const part of $$("details.published")) {
      let some = 0;
      for (const row of $$("tbody tr", part)) {
        row.hidden = Boolean((now.method && !row.dataset.method.split(" ").includes(now.method)) || (now.metric && row.dataset.score !== score));
        some += !row.hidden;
      }
      part.hidden = !now.published || !places.has(part.dataset.dataset) || !some;
    }
    const shown = $$("section.board:not([hidden]) table").length;
    $("#nothing").hidden = lines > 0 || !shown && $$("section.board:not([hidden])").length > 0;
    $("#count").textContent = `${lines} ${lines === 1 ? "line" : "lines"} in ${shown} ${shown === 1 ? "table" : "tables"}`;
    remember();
  };
  const restore = () => {
    if (isPlace()) return filter();
    const told = new URLSearchParams(location.hash.slice(1));
    for (const name of fields) {
      const wanted = told.get(name) || "";
      form[name].value = name === "text" || [...form[name].options].some((option) => option.value === wanted) ? wanted : "";
    }
    for (const name of boxes) form[name].checked = told.get(name) !== "no";
    open = told.get("run");
    const unknown = open && !store.runs[open] ? open : "";
    if (unknown) open = null;
    filter();
    if (unknown) $("#count").textContent += `; no run ${unknown} is in this page`;
    if (open) show(open);
    else if (dialog.open) { pushed = false; dialog.close(); }
  };
  // Very many lines are filtered when typing pauses.
  const wait = $$("section.board tbody tr").length > 500 ? 200 : 0;
  let waiting;
  form.addEventListener("input", () => { clearTimeout(waiting); if (wait) waiting = setTimeout(filter, wait); else filter(); });
  $(".skip").addEventListener("click", (event) => { event.preventDefault(); $("main").focus(); });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(filter));

  // ---- one run
  const number = (x, digits = 3) => x === null || x === undefined ? "not a number" : x.toFixed(digits);
  const put = (list, name, text) => { if (text !== "" && text !== null && text !== undefined) list.append(el("dt", {}, name), el("dd", {}, String(text))); };
  const of = (run, column) => run.values.find(([index]) => index === column);

  const scroll = (label, table) => el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, table);

  const seeds = (keys, current) => {
    const shown = store.columns.map((column, index) => [column, index]).filter(([column, index]) => column.headline && keys.some((key) => of(store.runs[key], index)));
    const head = el("tr", {}, el("th", { scope: "col", class: "first" }, "seed"), ...shown.map(([column]) => el("th", { scope: "col" }, column.score.replaceAll("_", " "), code(column.id))), el("th", { scope: "col" }, "status"));
    const rows = keys.map((key) => {
      const run = store.runs[key], button = el("button", { type: "button", class: "open" }, `seed ${run.seed}`);
      button.addEventListener("click", () => show(key, true));
      return el("tr", { "aria-current": key === current ? "true" : "false" }, el("th", { scope: "row", class: "first" }, button),
        ...shown.map(([, index]) => { const found = of(run, index); return el("td", {}, found ? number(found[1]) : run.status === "diverged" ? "diverged" : "missing"); }), el("td", {}, run.status));
    });
    const values = shown.map(([, index]) => keys.map((key) => of(store.runs[key], index)?.[1]).filter((x) => typeof x === "number"));
    const mean = (xs) => xs.reduce((sum, x) => sum + x, 0) / xs.length;
    const std = (xs) => Math.sqrt(xs.reduce((sum, x) => sum + (x - mean(xs)) ** 2, 0) / (xs.length - 1));
    const foot = keys.length > 1 ? [["mean", mean, 1], ["std (n - 1)", std, 2]].map(([name, what, least]) => el("tr", {}, el("th", { scope: "row", class: "first" }, name),
      ...values.map((xs) => el("td", {}, xs.length < least ? "" : number(what(xs)))), el("td"))) : [];
    return scroll("Scores by seed", el("table", {}, el("thead", {}, head), el("tbody", {}, ...rows), el("tfoot", {}, ...foot)));
  };

  const scores = (run) => {
    const rows = run.values.map(([index, x, std, points]) => el("tr", {}, el("th", { scope: "row", class: "first" }, store.columns[index].score.replaceAll("_", " ")),
      el("td", {}, number(x, 4) + (std === null ? "" : ` ± ${number(std, 4)} (metric's own noise)`)), el("td", {}, code(store.columns[index].id)), el("td", {}, store.points[points])));
    return el("details", {}, el("summary", {}, `All ${rows.length} scores of this run`), scroll("All scores", el("table", {},
      el("thead", {}, el("tr", {}, ...["score", "value", "metric id", "points"].map((text) => el("th", { scope: "col" }, text)))), el("tbody", {}, ...rows))));
  };

  const provenance = (run, key) => {
    const list = el("dl"), data = store.data[run.data], origin = store.origins[run.origin];
    put(list, "run", key);
    put(list, "study", run.study);
    for (const [name, text] of Object.entries(run.unit)) put(list, name, text);
    put(list, "2019 study's model number", run.number);
    put(list, "data", `${data.name} (${data.source}), ${data.images?.toLocaleString("en")} images, ${data.scored?.toLocaleString("en")} scored`);
    put(list, "data's checksum", data.checksum);
    put(list, "about the data", data.note);
    put(list, "model's SHA-256", run.sha);
    for (const [name, text] of Object.entries(origin)) put(list, name.replaceAll("_", " "), name === "dirty" ? (text ? "yes, the code had changes that no commit has" : "no") : text);
    put(list, "seconds", Object.entries(run.seconds).map(([name, s]) => `${name} ${s}`).join(", "));
    return list;
  };

  const matrix = (one, factors) => {
    const largest = Math.max(...one.values.flat().filter((x) => x !== null)) || 1;
    const name = `${one.name.replaceAll("_", " ")}${one.unit ? ` (${one.unit})` : ""}`;
    const rows = one.values.map((line, r) => el("tr", {}, el("th", { scope: "row", class: "first" }, `code ${r}`),
      ...line.map((x) => el("td", { style: `--s:${(Math.max(0, x || 0) / largest).toFixed(3)}` }, x === null ? "none" : x.toFixed(2)))));
    return scroll(name, el("table", { class: "matrix" }, el("caption", {}, `${name} `, code(one.id)),
      el("thead", {}, el("tr", {}, el("td"), ...one.values[0].map((_, f) => el("th", { scope: "col" }, factors[f] ?? `factor ${f}`)))), el("tbody", {}, ...rows)));
  };

  const told = { "reconstructions.png": "Images of the data set, and what the model makes of them", "traversal.png": "Each latent from -2 to +2 standard deviations, the others held: a line per latent, the most active first", "traversal.webp": "The same, moving there and back" };
  const images = (run, key) => Object.keys(told).filter((kind) => (pictures[key] || {})[kind]).map((kind) => {
    const image = el("img", { src: pictures[key][kind], alt: told[kind], loading: "lazy" });
    const moving = kind.endsWith(".webp");  // what moves is asked for, and stops when it is closed
    return el("figure", {}, moving ? el("details", {}, el("summary", {}, "Show the latents move"), image) : image, el("figcaption", {}, told[kind]));
  });

  let siblings = [];
  const line = (key) => {
    const own = $$("section.board:not([hidden]) tr[data-runs]").concat($$("tr[data-runs]")).find((row) => row.dataset.runs.split(" ").includes(key));
    return own ? own.dataset.runs.split(" ") : [key];
  };
  const show = (key, within = false, clicked = false) => {
    const run = store.runs[key], data = store.data[run.data];
    siblings = within && siblings.includes(key) ? siblings : line(key);
    const focused = $("#run-body").contains(document.activeElement), place = siblings.indexOf(key) + 1;
    $("#run-title").textContent = `${run.title} ${run.setting}`.trim() + ` on ${data.name} (${data.source}), seed ${run.seed}`;
    if (dialog.open) $("#run-said").textContent = `Seed ${run.seed}, ${place} of ${siblings.length}, is shown`;
    const drawn = images(run, key), grids = run.matrices.map((one) => matrix(one, data.factors || []));
    $("#run-body").replaceChildren(seeds(siblings, key), el("h3", {}, `Seed ${run.seed}`), scores(run),
      ...(grids.length ? [el("h3", {}, "What each code tells of each factor"), el("div", { class: "matrices" }, ...grids)] : []),
      ...(drawn.length ? [el("h3", {}, "Pictures"), el("div", { class: "pictures" }, ...drawn)] : []),
      el("h3", {}, "Provenance"), provenance(run, key));
    open = key;
    if (!dialog.open && clicked) { history.pushState(null, "", location.href); pushed = true; }
    remember();
    if (!dialog.open) { dialog.showModal(); $("#run-title").focus(); }
    else if (focused) $("#run-body tr[aria-current='true'] .open").focus();  // the button that was there is gone
    dialog.scrollTop = within ? dialog.scrollTop : 0;
  };
  // Anywhere on a line, but for where a text was selected; by keyboard its name is a button.
  $$("tr[data-runs]").filter((row) => row.dataset.runs).forEach((row) => row.addEventListener("click", () => {
    if (String(getSelection())) return;
    siblings = row.dataset.runs.split(" ");
    show(siblings[0], true, true);
  }));
  dialog.addEventListener("close", () => {
    open = null;
    $("#run-body").replaceChildren();
    if (pushed) { pushed = false; history.back(); } else remember();
  });
  // Beside it, and not by a drag from within or by the second click of two.
  const beside = (event) => { const box = dialog.getBoundingClientRect(); return event.clientX < box.left || event.clientX > box.right || event.clientY < box.top || event.clientY > box.bottom; };
  let pressed = false;
  dialog.addEventListener("pointerdown", (event) => { pressed = beside(event); });
  dialog.addEventListener("click", (event) => { if (event.target === dialog && pressed && event.detail < 2 && beside(event)) dialog.close(); });
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement?.tagName || "");
    if (event.key === "/" && !typing && !dialog.open) { event.preventDefault(); form.text.focus(); }
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step && dialog.open && !event.altKey && !event.ctrlKey && !event.metaKey && !document.activeElement?.classList.contains("scroll")) {
      const next = siblings[siblings.indexOf(open) + step];
      if (next) show(next, true);
    }
  });
  addEventListener("popstate", restore);
  addEventListener("hashchange", restore);
  restore();
})();
