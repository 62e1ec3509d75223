"use strict";
// One list of patches, filtered; one of them is current. Everything that changes marks goes through `change`.
(() => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const patches = data.patches;
  const places = new Map(patches.map((patch, index) => [patch.id, index]));
  const store = `noise-review:${data.digest}`;
  const marks = new Map();
  const undoable = [];
  const filter = { kind: "all", mark: "any", name: "" };
  const rows = new Map();
  let visible = [];
  let current = -1;

  const HEADS = {
    image: ["Image"],
    label: ["Label", ["green", "as given"]],
    prediction: ["Prediction", ["pink", "P, line at .5"]],
    wrong: ["Label wrong?", ["yellow", "r, line at .5"]],
    suggestion: ["Suggestion", ["green", "kept"], ["blue", "added"], ["orange", "removed"]],
  };

  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  function tell(text, { bad = false } = {}) {
    byId("status").textContent = text;
    byId("status").classList.toggle("bad", bad);
  }

  // Marks: what was said, kept by the browser.

  function load() {
    let kept = null;
    try {
      kept = JSON.parse(localStorage.getItem(store));
    } catch {
      tell("This browser keeps no marks: export before you close the page.", { bad: true });
    }
    for (const [id, [word, note]] of Object.entries(kept ?? data.marks)) {
      if (places.has(id) && data.words.includes(word)) marks.set(id, [word, note]);
    }
  }

  function save() {
    try {
      localStorage.setItem(store, JSON.stringify(Object.fromEntries(marks)));
    } catch {
      tell("The marks could not be kept by this browser: export them now.", { bad: true });
    }
  }

  /** Set marks ([id, mark or null]) in one step that `undo` takes back. */
  function change(steps, options) {
    undoable.push(steps.map(([id]) => [id, marks.get(id) ?? null]));
    apply(steps, options);
  }

  function apply(steps, { redraw = true } = {}) {
    for (const [id, mark] of steps) {
      if (mark === null) marks.delete(id);
      else marks.set(id, mark);
    }
    save();
    if (redraw) for (const [id] of steps) refresh(places.get(id));
    count();
  }

  function undo() {
    const steps = undoable.pop();
    if (!steps) return tell("Nothing to undo.");
    apply(steps);
    choose(places.get(steps[0][0]));
    return tell(steps.length === 1 ? `Undone: ${steps[0][0]}.` : `Undone: ${steps.length} marks.`);
  }

  function mark(index, word) {
    if (index < 0) return;
    const id = patches[index].id;
    const after = neighbour(index, 1);
    change([[id, [word, marks.get(id)?.[1] ?? ""]]]);
    tell(`${word}: ${id}.`);
    choose(after);
  }

  // The list: an empty row for each patch that fits, filled while it is near the window.

  function fits(patch) {
    const found = patch.found.map(([kind]) => kind);
    const kind = filter.kind === "all" || (filter.kind === "none" ? !found.length : found.includes(filter.kind));
    const word = marks.get(patch.id)?.[0] ?? "open";
    return kind && (filter.mark === "any" || filter.mark === word) && patch.id.toLowerCase().includes(filter.name);
  }

  function show() {
    visible = [...patches.keys()].filter((index) => fits(patches[index]));
    rows.clear();
    watch.disconnect();
    const list = byId("list");
    list.replaceChildren();
    for (const index of visible) {
      const row = make("article", { class: "row", tabindex: "-1", "data-index": index });
      rows.set(index, row);
      list.append(row);
      watch.observe(row);
    }
    byId("none").hidden = visible.length > 0;
    choose(visible.includes(current) ? current : visible[0] ?? -1, { focus: false });
    count();
  }

  const watch = new IntersectionObserver((changes) => {
    for (const { target, isIntersecting } of changes) {
      if (isIntersecting) fill(target);
      else if (!target.contains(document.activeElement)) target.replaceChildren();
    }
  }, { rootMargin: "800px" });

  function fill(row) {
    const index = Number(row.dataset.index);
    const patch = patches[index];
    row.setAttribute("aria-label", `${index + 1} of ${patches.length}: ${patch.id}, ${said(patch)}`);
    if (!row.childElementCount) row.append(about(patch, index), panel(patch, "image"), ...data.layers.map((layer) => panel(patch, layer)));
  }

  function said(patch) {
    return marks.has(patch.id) ? `marked ${marks.get(patch.id)[0]}` : "not marked";
  }

  function refresh(index) {
    const row = rows.get(index);
    if (!row?.childElementCount) return;
    row.firstChild.replaceWith(about(patches[index], index));
    fill(row);
  }

  function about(patch, index) {
    const given = marks.get(patch.id);
    const facts = [`${index + 1} of ${patches.length}`, `score ${patch.score.toFixed(3)}`];
    if (patch.p !== null) facts.push(`P(noisy) ${patch.p.toFixed(2)}`);
    const found = patch.found.map(([kind, confidence]) =>
      make("li", {}, make("span", { class: "tag" }, kind[0].toUpperCase()), `${kind} ${confidence.toFixed(2)}: ${data.suggestions[kind]}`));
    const buttons = data.words.map((word) => {
      const button = make("button", { type: "button", "aria-pressed": given?.[0] === word, title: word[0] }, word);
      button.addEventListener("click", () => {
        if (marks.get(patch.id)?.[0] === word) change([[patch.id, null]]);
        else mark(index, word);
      });
      return button;
    });
    const note = make("input", { type: "text", "aria-label": `note to ${patch.id}`, placeholder: given ? "note" : "mark first, then note" });
    note.disabled = !given;
    note.value = given?.[1] ?? "";
    // Not redrawn: the click that ended the typing may be on a button of this very patch.
    note.addEventListener("change", () => change([[patch.id, [marks.get(patch.id)[0], note.value.trim()]]], { redraw: false }));
    return make("div", { class: "about" },
      make("h3", {}, patch.id),
      make("p", {}, ...facts.flatMap((fact, place) => [place ? " · " : "", make("span", {}, fact)])),
      make("ul", { "aria-label": "findings" }, ...(found.length ? found : [make("li", {}, "no finding")])),
      make("div", { class: "marks", role: "group", "aria-label": `mark of ${patch.id}` }, ...buttons),
      note);
  }

  function panel(patch, layer) {
    const image = make("img", { class: "under", loading: "lazy", src: `${patch.tile}_image.png`, alt: layer === "image" ? `image of ${patch.id}` : "" });
    const frame = make("div", { class: "frame" }, image);
    image.addEventListener("load", () => fit(frame, image));
    if (layer !== "image") {
      const over = make("img", { loading: "lazy", src: `${patch.tile}_layers.png`, alt: `${layer} of ${patch.id}` });
      over.style.width = `${100 * data.strip.length}%`;
      over.style.left = `${-100 * data.strip.indexOf(layer)}%`;
      frame.append(over);
    }
    if (layer === "label" || layer === "suggestion") frame.append(...patch.found.map(box));
    frame.style.width = frame.style.height = "100%";
    return make("div", { class: layer === "image" ? "panel" : "panel grey" }, frame);
  }

  /** Give the frame the sides of its image; small patches are shown as the pixels that they are. */
  function fit(frame, image) {
    const { naturalWidth: width, naturalHeight: height } = image;
    frame.style.width = `${Math.min(100, (100 * width) / height)}%`;
    frame.style.height = `${Math.min(100, (100 * height) / width)}%`;
    const rendering = height < frame.clientHeight ? "pixelated" : "auto";
    for (const picture of frame.querySelectorAll("img")) picture.style.imageRendering = rendering;
  }

  function box([kind, confidence, left, top, width, height]) {
    const shape = make("div", { class: "box", title: `${kind} ${confidence}` }, make("b", {}, kind[0].toUpperCase()));
    Object.assign(shape.style, { left: `${left}%`, top: `${top}%`, width: `${width}%`, height: `${height}%` });
    return shape;
  }

  // Moving about.

  function neighbour(index, step) {
    const at = visible.indexOf(index);
    return visible[Math.min(visible.length - 1, Math.max(0, at + step))] ?? -1;
  }

  function choose(index, { focus = true, scroll = true } = {}) {
    const before = rows.get(current);
    before?.classList.remove("current");
    before?.removeAttribute("aria-current");
    current = index;
    const row = rows.get(index);
    if (!row) return;
    fill(row);
    row.classList.add("current");
    row.setAttribute("aria-current", "true");
    if (scroll) row.scrollIntoView({ block: "nearest" });
    if (focus) row.focus({ preventScroll: true });
  }

  // The bar.

  function count() {
    const words = [...marks.values()].map(([word]) => word);
    const each = data.words.map((word) => `${word} ${words.filter((one) => one === word).length}`);
    byId("counts").textContent = `${visible.length} of ${patches.length} patches · ${each.join(" · ")} · open ${patches.length - words.length}`;
    byId("undo").disabled = undoable.length === 0;
  }

  function kindButtons() {
    const number = (kind) => patches.filter(({ found }) => (kind === "none" ? !found.length : found.some(([one]) => one === kind))).length;
    for (const kind of ["all", ...data.kinds, "none"]) {
      const text = kind === "all" ? `all ${patches.length}` : `${kind} ${number(kind)}`;
      const button = make("button", { type: "button", "data-kind": kind, "aria-pressed": kind === "all" }, text);
      button.addEventListener("click", () => {
        filter.kind = kind;
        for (const other of byId("kinds").children) other.setAttribute("aria-pressed", other === button);
        show();
      });
      byId("kinds").append(button);
    }
  }

  function heads() {
    byId("heads").append(make("div", {}, "Patch, worst first"));
    for (const layer of ["image", ...data.layers]) {
      const [title, ...keys] = HEADS[layer];
      const legend = keys.flatMap(([colour, text]) => {
        const sample = make("i");
        sample.style.background = `var(--${colour})`;
        return [" ", make("small", {}, sample, text)];
      });
      byId("heads").append(make("div", {}, title, ...legend));
    }
    document.documentElement.style.setProperty("--columns", data.layers.length + 1);
  }

  // review.csv, out and in.

  const quoted = (cell) => (/[",\r\n]|^\s|\s$/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);

  function exportReview() {
    const lines = patches.filter(({ id }) => marks.has(id)).map(({ id }) => [id, ...marks.get(id)].map(quoted).join(","));
    const blob = new Blob([["imageid,mark,note", ...lines, ""].join("\n")], { type: "text/csv" });
    const link = make("a", { href: URL.createObjectURL(blob), download: "review.csv" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    tell(`review.csv: ${lines.length} marks.`);
  }

  /** Split CSV into rows of cells; quoted cells may hold commas, quotes and line ends. */
  function cellsOf(text) {
    const lines = [[]];
    for (const [, cell, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/g)) {
      lines.at(-1).push(cell === undefined ? plain : cell.replaceAll('""', '"'));
      if (end !== ",") lines.push([]);
    }
    return lines.filter((cells) => cells.length > 1);
  }

  function importReview(text) {
    const [head = [], ...lines] = cellsOf(text.replace(/^\uFEFF/, ""));
    if (head.join() !== "imageid,mark,note") return tell("This is no review: the first line must be imageid,mark,note.", { bad: true });
    const fitting = lines.filter(([id, word]) => places.has(id) && data.words.includes(word));
    if (fitting.length) change(fitting.map(([id, word, note = ""]) => [id, [word, note]]));
    show();
    const left = lines.length - fitting.length;
    return tell(`${fitting.length} marks taken in${left ? `, ${left} left out: other patches or other marks` : ""}.`, { bad: left > 0 });
  }

  // Keys.

  const KEYS = {
    k: () => mark(current, "keep"),
    f: () => mark(current, "fix"),
    d: () => mark(current, "drop"),
    u: undo,
    j: () => choose(neighbour(current, 1)),
    J: () => choose(neighbour(current, -1)),
    n: () => rows.get(current)?.querySelector("input")?.focus(),
    b: () => document.body.classList.toggle("no-boxes"),
    e: exportReview,
    "?": () => byId("keys").showModal(),
  };
  KEYS.ArrowDown = KEYS.ArrowRight = KEYS.j;
  KEYS.ArrowUp = KEYS.ArrowLeft = KEYS.J;

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || byId("keys").open) return;
    const typing = event.target.matches("input, select");
    if (typing && ["Escape", "Enter"].includes(event.key)) choose(current);
    if (typing || !Object.hasOwn(KEYS, event.key)) return;
    event.preventDefault();
    KEYS[event.key]();
  });

  byId("list").addEventListener("pointerdown", ({ target }) => {
    const row = target.closest(".row");
    // Without scrolling: the button would be gone from under the pointer before it is released.
    if (row) choose(Number(row.dataset.index), { focus: !target.closest("button, input"), scroll: false });
  });
  byId("undo").addEventListener("click", undo);
  byId("export").addEventListener("click", exportReview);
  byId("import").addEventListener("click", () => byId("file").click());
  byId("help").addEventListener("click", KEYS["?"]);
  byId("file").addEventListener("change", async ({ target }) => {
    if (target.files.length) importReview(await target.files[0].text());
    target.value = "";
  });
  byId("marked").addEventListener("change", ({ target }) => { filter.mark = target.value; show(); });
  byId("name").addEventListener("input", ({ target }) => { filter.name = target.value.trim().toLowerCase(); show(); });

  heads();
  kindButtons();
  load();
  show();
})();
