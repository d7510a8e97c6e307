/* All models of the chapters' tables: what they cost against what they are worth. The page holds the
 * data as JSON, made from the tables when the book is rendered. */
(() => {
  let make, frame, range, number; // given by players.js
  const COSTS = { kb: ["file in kB", "smaller"], us: ["µs for each image", "faster"] };

  /* Indices of the models that no other beats, cheapest first; of equals the first counts. */
  function front(costs, values) {
    const order = costs.map((_, i) => i).sort((a, b) => costs[a] - costs[b] || values[b] - values[a] || a - b);
    const kept = [];
    for (const i of order) if (!kept.length || values[i] > values[kept.at(-1)]) kept.push(i);
    return kept;
  }

  function choice(parent, label, options, change) {
    const row = make(parent, "label", {}, label + " ");
    const list = make(row, "select");
    for (const [value, text] of options) make(list, "option", { value }, text);
    list.addEventListener("change", change);
    return list;
  }

  function pareto(box, tools) {
    ({ make, frame, range, number } = tools);
    const models = JSON.parse(document.getElementById("models").textContent);
    const { controls, svg, says } = frame(box, "Models of the chapters: cost and accuracy", 330);
    const chapters = [...new Set(models.map((model) => model.chapter))].sort();
    const chapter = choice(controls, "models of", [["8", "chapter 8"], ...chapters.filter((n) => n !== 8).map((n) => [n, `chapter ${n}`]), ["all", "all chapters"]], () => filter());
    const cost = choice(controls, "against", Object.entries(COSTS).map(([key, [label]]) => [key, label]), () => filter());
    const kinds = make(controls, "fieldset");
    make(kinds, "legend", {}, "techniques");
    const boxes = [...new Set(models.map((model) => model.technique))].map((technique) => {
      const label = make(kinds, "label");
      const input = make(label, "input", { type: "checkbox", value: technique });
      input.checked = true;
      input.addEventListener("change", () => filter());
      make(label, "span", { class: "swatch", style: `background:${colour(technique)}` });
      label.append(technique);
      return input;
    });
    let shown = [], best = [];
    const which = range(controls, "model", { min: 1, max: models.length, value: 1 }, (i) => (shown[i - 1] ? shown[i - 1].name : "none"), draw);

    function colour(technique) { return `var(--${technique.split(" ")[0]})`; }

    /* Take what the filters let through, in the order of its costs, and start at a good one. */
    function filter() {
      const wanted = new Set(boxes.filter((input) => input.checked).map((input) => input.value));
      const key = cost.value;
      shown = models
        .filter((model) => model[key] && wanted.has(model.technique) && (chapter.value === "all" || model.chapter === +chapter.value))
        .sort((a, b) => a[key] - b[key] || a.accuracy - b.accuracy);
      best = front(shown.map((model) => model[key]), shown.map((model) => model.accuracy));
      which.input.max = Math.max(1, shown.length);
      which.value = (best[1] ?? best[0] ?? 0) + 1;
    }

    function draw() {
      svg.replaceChildren();
      says.replaceChildren();
      const key = cost.value, selected = shown[which.value - 1];
      if (!selected) { says.textContent = "No model is left: choose more techniques, another chapter or another cost. Some models have no times."; return; }
      const logs = shown.map((model) => Math.log10(model[key])), values = shown.map((model) => model.accuracy);
      const [left, right] = [Math.min(...logs) - 0.08, Math.max(...logs) + 0.08];
      const pad = Math.max(0.2, 0.12 * (Math.max(...values) - Math.min(...values)));
      const [bottom, top] = [Math.min(...values) - pad, Math.max(...values) + pad];
      const X = (v) => 56 + ((Math.log10(v) - left) / (right - left)) * 410;
      const Y = (v) => 275 - ((v - bottom) / (top - bottom)) * 250;
      for (let power = -2; power <= 5; power++) for (const first of [1, 2, 5]) {
        const tick = first * 10 ** power;
        if (Math.log10(tick) < left || Math.log10(tick) > right) continue;
        make(svg, "path", { d: `M${X(tick)} 25V275`, stroke: "var(--line)", "stroke-width": 0.5 });
        make(svg, "text", { x: X(tick), y: 294, "text-anchor": "middle", class: "small" }, String(+tick.toPrecision(1)));
      }
      const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20].find((size) => (top - bottom) / size <= 6) ?? 50;
      for (let tick = Math.ceil(bottom / step) * step; tick <= top; tick += step) {
        make(svg, "path", { d: `M56 ${Y(tick)}H466`, stroke: "var(--line)", "stroke-width": 0.5 });
        make(svg, "text", { x: 50, y: Y(tick) + 5, "text-anchor": "end", class: "small" }, number(tick, step < 1 ? 1 : 0));
      }
      make(svg, "text", { x: 4, y: 14 }, "accuracy in %");
      make(svg, "text", { x: 466, y: 320, "text-anchor": "end" }, COSTS[key][0]);
      make(svg, "path", { d: best.map((i, n) => `${n ? "L" : "M"}${X(shown[i][key])} ${Y(values[i])}`).join(""), fill: "none", stroke: "var(--soft)", "stroke-width": 1.5 });
      shown.forEach((model, i) => {
        const at = { cx: X(model[key]), cy: Y(model.accuracy) };
        if (model === selected && model.low) make(svg, "path", { d: `M${at.cx} ${Y(Math.max(bottom, model.low))}V${Y(Math.min(top, model.high))}`, stroke: colour(model.technique), "stroke-width": 1.5 });
        if (model === selected) make(svg, "circle", { ...at, r: 13, fill: "none", stroke: "var(--ink)", "stroke-width": 2 });
        const dot = make(svg, "circle", { ...at, r: best.includes(i) ? 8 : 6, fill: colour(model.technique), stroke: "var(--paper)", class: "dot" });
        make(dot, "title", {}, model.name);
        dot.addEventListener("click", () => { which.value = i + 1; });
      });
      const atRight = X(selected[key]) > 260;
      make(svg, "text", { x: X(selected[key]) + (atRight ? -4 : 4), y: Y(selected.accuracy) < 60 ? Y(selected.accuracy) + 32 : Y(selected.accuracy) - 19, "text-anchor": atRight ? "end" : "start" }, selected.name);

      const index = shown.indexOf(selected);
      const beats = best.filter((i) => shown[i][key] <= selected[key]).at(-1);
      const facts = [`accuracy ${selected.accuracy_text}`, selected.points && `points ${selected.points}`, `${selected.kb} kB`, selected.us && `${selected.us} µs for each image`];
      says.append(
        `Model ${index + 1} of ${shown.length}: ${selected.name}: ${facts.filter(Boolean).join("; ")}. ` +
        (best.includes(index) ? `On the front: none of these is ${COSTS[key][1]} and at least as accurate. ` : `Beaten by ${shown[beats].name}, which costs no more and is at least as accurate. `) + "Recipe: ");
      if (selected.recipe) { make(says, "code", {}, selected.recipe); says.append(", from "); } else says.append("in ");
      make(says, "a", { href: `../notebooks/${selected.page}.html` }, `chapter ${selected.chapter}`);
      says.append(".");
    }
    filter();
  }

  (window.MORE_PLAYERS ??= {}).pareto = pareto;
})();
