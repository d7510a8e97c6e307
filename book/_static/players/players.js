/* The players of the book: plain JavaScript, no server. Each replaces the diagram in
 * its <div class="player" data-player="NAME">, starts in a state that teaches, says in words what it
 * shows, and can be used with the keyboard alone. */
(() => {
  const SVG = "http://www.w3.org/2000/svg";

  function make(parent, tag, attributes = {}, text = "") {
    const isSvg = tag === "svg" || parent.namespaceURI === SVG;
    const node = isSvg ? document.createElementNS(SVG, tag) : document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text) node.textContent = text;
    parent.append(node);
    return node;
  }

  function range(parent, label, options, show, change) {
    const row = make(parent, "label", {}, label + " ");
    const input = make(row, "input", { type: "range", ...options });
    const shown = make(row, "output");
    const update = () => {
      shown.textContent = " " + show(+input.value);
      input.setAttribute("aria-valuetext", show(+input.value));
    };
    input.addEventListener("input", () => { update(); change(); });
    update();
    return {
      input,
      get value() { return +input.value; },
      set value(value) { input.value = value; update(); change(); },
    };
  }

  function frame(box, name, height) {
    box.replaceChildren();
    box.setAttribute("role", "group");
    box.setAttribute("aria-label", name);
    const controls = make(box, "div");
    const svg = make(box, "svg", { viewBox: `0 0 480 ${height}` });
    const says = make(box, "p", { class: "says", "aria-live": "polite" });
    return { controls, svg, says };
  }

  const number = (value, digits = 2) => value.toFixed(digits).replace("-", "−");

  /* 1. Scale, zero point and bits: weights that can be dragged. */
  function ruler(box) {
    const { controls, svg, says } = frame(box, "Weights on a ruler of integers", 190);
    const weights = [-0.9, -0.42, -0.1, 0.13, 0.55, 1.9];
    const X = (w) => 240 + w * 110;
    const bits = range(controls, "bits", { min: 2, max: 8, value: 4 }, String, draw);
    const grid = make(svg, "g");
    make(svg, "path", { d: "M15 80H465", stroke: "var(--ink)", "stroke-width": 1.5 });
    for (let w = -2; w <= 2; w++) {
      make(svg, "path", { d: `M${X(w)} 74V86`, stroke: "var(--ink)" });
      make(svg, "text", { x: X(w), y: 30, "text-anchor": "middle" }, number(w, 0));
    }
    make(svg, "text", { x: 15, y: 180 }, "integers");
    const links = weights.map(() => make(svg, "path", { stroke: "var(--structured)", "stroke-width": 2 }));
    const dots = weights.map((_, i) => {
      const dot = make(svg, "circle", {
        cy: 80, r: 9, fill: "var(--ptq)", tabindex: 0, role: "slider",
        "aria-label": `weight ${i + 1}`, "aria-valuemin": -2, "aria-valuemax": 2,
      });
      const move = (w) => { weights[i] = Math.round(Math.min(2, Math.max(-2, w)) * 100) / 100; draw(); };
      dot.addEventListener("keydown", (event) => {
        const step = { ArrowLeft: -0.05, ArrowDown: -0.05, ArrowRight: 0.05, ArrowUp: 0.05 }[event.key];
        if (event.key === "Home") move(-2);
        else if (event.key === "End") move(2);
        else if (step) move(weights[i] + step);
        else return;
        event.preventDefault();
      });
      dot.addEventListener("pointerdown", (event) => { dot.setPointerCapture(event.pointerId); event.preventDefault(); dot.focus(); });
      dot.addEventListener("pointermove", (event) => {
        if (!dot.hasPointerCapture(event.pointerId)) return;
        const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
        move((point.x - 240) / 110);
      });
      dot.style.touchAction = "none";
      return dot;
    });

    function draw() {
      const levels = 2 ** bits.value - 1;
      const low = Math.min(0, ...weights), high = Math.max(0, ...weights);
      const scale = (high - low) / levels || 1;
      const zero = Math.round(-low / scale);
      const q = weights.map((w) => Math.min(levels, Math.max(0, Math.round(w / scale) + zero)));
      const back = q.map((k) => (k - zero) * scale);
      grid.replaceChildren();
      for (let k = 0; k <= levels; k++) {
        const x = X((k - zero) * scale);
        make(grid, "path", { d: `M${x} 50V145`, stroke: "var(--line)", "stroke-width": levels > 100 ? 0.4 : 1 });
        if (levels <= 15) make(grid, "text", { x, y: 162, "text-anchor": "middle", class: "small" }, String(k));
      }
      make(grid, "path", { d: `M${X(0)} 50V145`, stroke: "var(--float)", "stroke-width": 2.5 });
      weights.forEach((w, i) => {
        dots[i].setAttribute("cx", X(w));
        dots[i].setAttribute("aria-valuenow", w);
        dots[i].setAttribute("aria-valuetext", `${w}, stored as ${q[i]}, read back as ${back[i].toFixed(2)}`);
        links[i].setAttribute("d", `M${X(w)} 80L${X(back[i])} 140`);
      });
      const error = Math.sqrt(weights.reduce((sum, w, i) => sum + (w - back[i]) ** 2, 0) / weights.length);
      const widest = weights.indexOf(weights.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a)));
      const rest = weights.filter((_, i) => i !== widest);
      const without = (Math.max(0, ...rest) - Math.min(0, ...rest)) / levels;
      says.textContent =
        `${levels + 1} integers, scale s = ${number(scale, 3)}, zero point z = ${zero}. ` +
        `Error (root of the mean square): ${number(error, 3)}. Without the widest weight, ` +
        `${number(weights[widest])}, the scale would be ${number(without, 3)}. Drag it, or use the arrow keys.`;
    }
    draw();
  }

  /* 2. Clipping range against error, for a normal distribution. */
  function clipping(box) {
    const { controls, svg, says } = frame(box, "Where to clip", 250);
    const bits = range(controls, "bits", { min: 2, max: 8, value: 4 }, String, draw);
    const clip = range(controls, "clip at ±", { min: 0.5, max: 6, step: 0.1, value: 6 }, (v) => number(v, 1) + " standard deviations", draw);
    const X = (c) => 50 + ((c - 0.5) / 5.5) * 415;
    const Y = (error) => 30 - 39 * Math.log10(error);

    function errors(c, b) {
      const top = 2 ** (b - 1) - 1, scale = c / top;
      let inside = 0, outside = 0;
      for (let x = 0.0025; x < 7; x += 0.005) {
        const density = 2 * Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI) * 0.005;
        const q = Math.min(top, Math.round(x / scale)) * scale;
        if (x > c) outside += density * (x - q) ** 2;
        else inside += density * (x - q) ** 2;
      }
      return { inside, outside };
    }
    const clips = Array.from({ length: 56 }, (_, i) => 0.5 + i * 0.1);
    const curves = new Map();
    for (let b = 2; b <= 8; b++) curves.set(b, clips.map((c) => { const e = errors(c, b); return e.inside + e.outside; }));

    function draw() {
      svg.replaceChildren();
      for (let e = -5; e <= 0; e++) {
        const y = Y(10 ** e);
        make(svg, "path", { d: `M50 ${y}H465`, stroke: "var(--line)", "stroke-width": 0.6 });
        make(svg, "text", { x: 44, y: y + 5, "text-anchor": "end", class: "small" }, e === 0 ? "1" : `1e${number(e, 0)}`);
      }
      for (let c = 1; c <= 6; c++) make(svg, "text", { x: X(c), y: 244, "text-anchor": "middle", class: "small" }, String(c));
      for (const [b, values] of curves) {
        const line = values.map((e, i) => `${i ? "L" : "M"}${X(clips[i]).toFixed(1)} ${Y(e).toFixed(1)}`).join("");
        const chosen = b === bits.value;
        make(svg, "path", { d: line, fill: "none", stroke: chosen ? "var(--ptq)" : "var(--line)", "stroke-width": chosen ? 3 : 1.2 });
      }
      const values = curves.get(bits.value);
      const best = values.indexOf(Math.min(...values));
      make(svg, "circle", { cx: X(clips[best]), cy: Y(values[best]), r: 6, fill: "var(--qat)" });
      make(svg, "text", { x: X(clips[best]), y: Y(values[best]) + 22, "text-anchor": "middle" }, "lowest");
      make(svg, "text", { x: 60, y: 22 }, `mean squared error at ${bits.value} bits`);
      const part = errors(clip.value, bits.value);
      const now = part.inside + part.outside;
      make(svg, "path", { d: `M${X(clip.value)} 25V228`, stroke: "var(--structured)", "stroke-width": 2 });
      make(svg, "circle", { cx: X(clip.value), cy: Y(now), r: 6, fill: "var(--structured)" });
      const share = part.outside / now;
      says.textContent =
        `${bits.value} bits, clipped at ±${number(clip.value, 1)}: mean squared error ${now.toPrecision(2)}, ` +
        `${(now / values[best]).toFixed(1)} times the lowest, which is at ±${number(clips[best], 1)}. ` +
        (share > 0.5 ? "Most of it comes from what is cut off: widen the range." :
          clip.value > clips[best] + 0.15 ? "Most of it comes from wide steps: cut the tails off." : "Steps and cut tails are in balance.");
    }
    draw();
  }

  /* 3. Temperature: what a network says of real test images. */
  function temperature(box) {
    const images = window.TEACHER; // teacher.js
    const { controls, svg, says } = frame(box, "Temperature and soft targets", 190);
    const which = range(controls, "image", { min: 1, max: images.length, value: 1 }, (i) => `${i}, a ${images[i - 1].label}`, draw);
    const T = range(controls, "temperature", { min: 0.5, max: 20, step: 0.5, value: 1 }, (t) => number(t, 1), draw);

    function draw() {
      const { png, label, logits } = images[which.value - 1];
      const powers = logits.map((z) => Math.exp((z - Math.max(...logits)) / T.value));
      const sum = powers.reduce((a, b) => a + b);
      const shares = powers.map((power) => power / sum);
      svg.replaceChildren();
      make(svg, "image", { href: "data:image/png;base64," + png, x: 5, y: 45, width: 96, height: 96, style: "image-rendering:pixelated" });
      shares.forEach((share, k) => {
        const x = 122 + k * 35;
        make(svg, "rect", { x, y: 160 - share * 130, width: 27, height: Math.max(share * 130, 0.8), fill: k === label ? "var(--float)" : "var(--distillation)" });
        make(svg, "text", { x: x + 13, y: 178, "text-anchor": "middle" }, String(k));
        if (share >= 0.005) make(svg, "text", { x: x + 13, y: 155 - share * 130, "text-anchor": "middle", class: "small" }, Math.round(share * 100) + " %");
      });
      make(svg, "path", { d: "M116 160H474", stroke: "var(--ink)" });
      const others = shares.map((share, k) => [share, k]).filter(([, k]) => k !== label).sort((a, b) => b[0] - a[0]);
      const entropy = -shares.reduce((a, p) => a + (p > 0 ? p * Math.log2(p) : 0), 0);
      says.textContent =
        `At temperature ${number(T.value, 1)} the ${label} gets ${Math.round(shares[label] * 100)} %. ` +
        `Of the rest, the teacher finds ${others[0][1]} and ${others[1][1]} the most alike. ` +
        `The student is told ${entropy.toFixed(1)} bits; the label alone says 0.`;
    }
    draw();
  }

  /* 4. Sparsity against bytes, for a layer of 64 filters with 64 × 3 × 3 weights. */
  function sparsity(box) {
    const { controls, svg, says } = frame(box, "Sparsity and bytes", 250);
    const level = range(controls, "sparsity", { min: 0, max: 99, value: 40 }, (s) => s + " %", draw);
    const wide = range(controls, "bytes of a weight", { min: 1, max: 4, step: 1, value: 4 }, String, draw);
    const rows = 64, n = 64 * 64 * 9;
    const formats = {
      dense: [(kept, b) => n * b, "--float"],
      bitmask: [(kept, b) => n / 8 + kept * n * b, "--unstructured"],
      CSR: [(kept, b) => kept * n * (b + 4) + 4 * (rows + 1), "--structured"],
    };

    function draw() {
      const b = wide.value, most = n * (b + 4);
      const X = (s) => 50 + s * 4.1, Y = (bytes) => 220 - (bytes / most) * 195;
      svg.replaceChildren();
      make(svg, "path", { d: "M50 220H465M50 220V20", stroke: "var(--ink)", fill: "none" });
      for (const s of [0, 25, 50, 75, 100]) make(svg, "text", { x: X(s), y: 240, "text-anchor": "middle", class: "small" }, s + " %");
      for (const part of [0, 0.5, 1]) make(svg, "text", { x: 45, y: Y(part * most) + 4, "text-anchor": "end", class: "small" }, Math.round(part * most / 1000) + " kB");
      for (const [name, [bytes, colour]] of Object.entries(formats)) {
        make(svg, "path", { d: `M${X(0)} ${Y(bytes(1, b))}L${X(100)} ${Y(bytes(0, b))}`, stroke: `var(${colour})`, "stroke-width": 2.5, fill: "none" });
        make(svg, "circle", { cx: X(level.value), cy: Y(bytes(1 - level.value / 100, b)), r: 6, fill: `var(${colour})` });
        make(svg, "text", { x: X({ dense: 80, bitmask: 2, CSR: 12 }[name]), y: Y(bytes(1 - { dense: 80, bitmask: 2, CSR: 12 }[name] / 100, b)) - 8 }, name);
      }
      make(svg, "path", { d: `M${X(level.value)} 20V220`, stroke: "var(--line)" });
      const kept = 1 - level.value / 100;
      const sizes = Object.entries(formats).map(([name, [bytes]]) => [bytes(kept, b), name]).sort((a, c) => a[0] - c[0]);
      says.textContent =
        `At ${level.value} % zeros: ` + sizes.map(([size, name]) => `${name} ${(size / 1000).toFixed(1)} kB`).join(", ") + ". " +
        `A bitmask pays from ${(100 / (8 * b)).toFixed(0)} % on, CSR from ${(100 * (1 - (n * b - 4 * (rows + 1)) / (n * (b + 4)))).toFixed(0)} %: ` +
        `each value that it keeps needs four bytes more, for its column.`;
    }
    draw();
  }

  // Larger players are files of their own, which add themselves to window.MORE_PLAYERS.
  const players = { ruler, clipping, temperature, sparsity };
  document.addEventListener("DOMContentLoaded", () => {
    const all = { ...players, ...window.MORE_PLAYERS };
    const tools = { make, range, frame, number };
    for (const box of document.querySelectorAll(".player[data-player]")) all[box.dataset.player](box, tools);
  });
})();
