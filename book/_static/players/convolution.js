/* One convolution channel through few bits, step by step. The numbers are small enough to check by
 * hand; the arithmetic is that of chapter 2, and tests hold it against the package. */
(() => {
  let make, frame, range, number; // given by players.js

  // A piece of an image with a vertical edge, and a filter that looks for one.
  const IMAGE = [
    [0.12, 0.34, 0.91, 1.27, 1.18],
    [-0.08, 0.21, 0.83, 1.41, 1.33],
    [-0.37, 0.05, 0.62, 1.52, 1.46],
    [-0.29, -0.14, 0.47, 1.23, 1.59],
    [-0.11, 0.02, 0.19, 0.74, 1.03],
  ];
  const FILTER = [[-0.31, 0.04, 0.42], [-0.53, 0.09, 0.61], [-0.27, -0.06, 0.38]];
  const BIAS = -0.85;
  const STEPS = ["numbers", "integers for the input", "integers for the weights", "products and their sum", "back to few bits"];

  /* Everything that the picture shows, for a number of bits. */
  function compute(bits) {
    const levels = 2 ** bits - 1, low = -(2 ** (bits - 1)), top = -low - 1;
    const inputs = IMAGE.flat(), weights = FILTER.flat();
    const clamp = (q, least, most) => Math.min(most, Math.max(least, q));
    const sx = (Math.max(0, ...inputs) - Math.min(0, ...inputs)) / levels;
    const zx = Math.round(-Math.min(0, ...inputs) / sx);
    const sw = Math.max(...weights.map(Math.abs)) / (levels / 2);
    const qx = IMAGE.map((row) => row.map((x) => clamp(Math.round(x / sx) + zx, 0, levels)));
    const qw = FILTER.map((row) => row.map((w) => clamp(Math.round(w / sw), low, top)));
    const qb = Math.round(BIAS / (sw * sx));
    const window9 = (grid, r, c) => FILTER.flatMap((row, i) => row.map((_, j) => grid[r + i][c + j]));
    const outputs = [];
    for (let r = 0; r < 3; r++) for (let c = 0; c < 3; c++) {
      const x = window9(IMAGE, r, c), q = window9(qx, r, c);
      const products = q.map((value, i) => value * qw.flat()[i]);
      outputs.push({ products, sum: products.reduce((a, b) => a + b), exact: Math.max(0, x.reduce((a, v, i) => a + v * weights[i], BIAS)) });
    }
    const sumOfWeights = qw.flat().reduce((a, b) => a + b);
    const sy = Math.max(...outputs.map((output) => output.exact)) / levels, zy = 0;
    const M = (sw * sx) / sy;
    for (const output of outputs) {
      output.accumulator = output.sum - zx * sumOfWeights + qb;
      output.q = clamp(Math.round(M * output.accumulator) + zy, 0, levels);
      output.back = (output.q - zy) * sy;
    }
    return { qx, qw, qb, sx, zx, sw, sy, zy, M, sumOfWeights, outputs, levels };
  }

  function grid(svg, x, y, width, rows, { title, colour, lit = () => true, pick }) {
    make(svg, "text", { x, y: y - 8 }, title);
    rows.forEach((row, r) => row.forEach((text, c) => {
      const index = r * row.length + c, on = lit(r, c);
      const box = make(svg, "rect", {
        x: x + c * width, y: y + r * 28, width: width - 2, height: 26, rx: 2,
        fill: on ? "var(--pale)" : "transparent", stroke: on ? `var(${colour})` : "var(--line)", "stroke-width": on ? 1.6 : 0.8,
      });
      make(svg, "text", { x: x + c * width + width / 2 - 1, y: y + r * 28 + 18, "text-anchor": "middle", class: "small", style: "pointer-events:none" }, text);
      if (pick) { box.style.cursor = "pointer"; box.addEventListener("click", () => pick(index)); }
    }));
  }

  function convolution(box, tools) {
    ({ make, frame, range, number } = tools);
    const { controls, svg, says } = frame(box, "One convolution channel in integers", 330);
    const buttons = make(controls, "div", { class: "steps" });
    const back = make(buttons, "button", { type: "button" }, "Back");
    const next = make(buttons, "button", { type: "button" }, "Next");
    const step = range(controls, "step", { min: 1, max: STEPS.length, value: STEPS.length }, (i) => `${i}, ${STEPS[i - 1]}`, draw);
    const bits = range(controls, "bits", { min: 2, max: 8, value: 8 }, String, draw);
    const pixel = range(controls, "output", { min: 1, max: 9, value: 6 }, (i) => `row ${Math.ceil(i / 3)}, column ${((i - 1) % 3) + 1}`, draw);
    back.addEventListener("click", () => { step.value -= 1; });
    next.addEventListener("click", () => { step.value = (step.value % STEPS.length) + 1; });

    function draw() {
      const found = compute(bits.value), now = step.value, index = pixel.value - 1;
      const r = Math.floor(index / 3), c = index % 3, output = found.outputs[index];
      const inside = (i, j) => i >= r && i < r + 3 && j >= c && j < c + 3;
      const words = (rows, integers) => rows.map((row) => row.map((v) => (integers ? number(v, 0) : number(v, 2))));
      back.disabled = now === 1;
      next.textContent = now === STEPS.length ? "From the start" : "Next";
      svg.replaceChildren();
      grid(svg, 4, 26, 46, words(now > 1 ? found.qx : IMAGE, now > 1), { title: now > 1 ? `input, ${bits.value} bits` : "input", colour: "--ptq", lit: inside });
      grid(svg, 280, 26, 46, words(now > 2 ? found.qw : FILTER, now > 2), { title: now > 2 ? `weights, ${bits.value} bits` : "weights", colour: "--ptq" });
      const three = (values) => [0, 3, 6].map((i) => values.slice(i, i + 3));
      if (now > 3) {
        grid(svg, 4, 202, 76, three(output.products.map((v) => number(v, 0))), { title: "products", colour: "--unstructured" });
        make(svg, "text", { x: 280, y: 130 }, "sum, 32 bits");
        make(svg, "text", { x: 280, y: 154, class: "sum" }, number(output.accumulator, 0));
      } else {
        make(svg, "text", { x: 4, y: 240, class: "small" }, now === 1 ? "nine products, one sum" : "the sum waits for integers");
      }
      const shown = found.outputs.map((one) => (now > 4 ? number(one.q, 0) : number(one.exact, 2)));
      grid(svg, 280, 202, 46, three(shown), {
        title: now > 4 ? `output, ${bits.value} bits` : "output, to come", colour: "--qat",
        lit: (i, j) => i === r && j === c, pick: (i) => { pixel.value = i + 1; },
      });
      const error = output.back - output.exact;
      says.textContent = [
        `Nine inputs times nine weights, plus the bias ${number(BIAS)}, and nothing below zero (ReLU): ${number(output.exact, 3)}. The next steps compute it with integers.`,
        `Inputs lie between ${number(Math.min(...IMAGE.flat()))} and ${number(Math.max(...IMAGE.flat()))}. Scale ${number(found.sx, 4)}, zero point ${found.zx}: that integer stands for 0.`,
        `Weights have a scale of their own, ${number(found.sw, 4)}, and no zero point: 0 stays 0. So the sum below needs one correction only, for the inputs.`,
        `Integers times integers, added up in 32 bits: ${number(output.sum, 0)}. Minus zero point times the sum of the weights, ${found.zx} × ${number(found.sumOfWeights, 0)}, which is known in advance. Plus the bias as an integer, ${number(found.qb, 0)}. Sum ${number(output.accumulator, 0)}.`,
        `Requantize: ${number(output.accumulator, 0)} × ${number(found.M, 5)}, rounded and clamped to 0 to ${found.levels}, is ${output.q}. It stands for ${number(output.back, 3)}; in floats it was ${number(output.exact, 3)}, an error of ${number(error, 3)}. ` +
          (output.accumulator < 0 ? "The sum is negative, so the clamp is the ReLU." : "One factor with a fraction for each output; all else were integers."),
      ][now - 1];
    }
    draw();
  }

  (window.MORE_PLAYERS ??= {}).convolution = convolution;
})();
