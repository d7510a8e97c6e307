/* Tables of results for eyes: few columns first, bars in the cells, heads that sort, and the data to
 * take away. A notebook, and a page without scripts, show the table as it was written. */
(() => {
  const DETAILS = /^(weights|non-zero|compressed|MMACs|ms, batch 1 )/;
  const MANY = 8; // columns, from which on some are details

  const numberIn = (text) => {
    const found = text.replace(/[−–]/g, "-").match(/^[-+]?[\d,]*\.?\d+/);
    return found ? +found[0].replace(/,/g, "") : NaN;
  };

  document.addEventListener("DOMContentLoaded", () => {
    let n = 0;
    for (const table of document.querySelectorAll(".bd-article table.table")) {
      const rows = [...(table.tBodies[0]?.rows ?? [])];
      const heads = [...(table.tHead?.rows[0]?.cells ?? [])];
      const names = heads.map((cell) => cell.textContent.trim().replace(/\s+/g, " "));
      const cells = rows.map((row) => [...row.cells].map((cell) => cell.textContent.trim().replace(/\s+/g, " ")));
      const columns = names.map((_, i) => cells.map((row) => numberIn(row[i] ?? "")));
      const numeric = columns.map((column) => column.filter((v) => !Number.isNaN(v)).length > column.length / 2);
      if (rows.length < 2 || !numeric.slice(1).some(Boolean)) continue;
      n += 1;
      drawBars(rows, columns, numeric);
      if (rows.length > 2) sortable(table, rows, heads, names, cells, columns, numeric);
      addTools(table, rows, heads, names, cells, `${pageName()}-table-${n}`);
    }
  });

  const pageName = () => location.pathname.split("/").at(-1).replace(/\.html$/, "");

  /* A bar at the foot of each cell: its share of the largest of its column, losses in their colour. */
  function drawBars(rows, columns, numeric) {
    rows.forEach((row, r) => [...row.cells].forEach((cell, c) => {
      const value = columns[c][r];
      if (c === 0 || !numeric[c] || Number.isNaN(value)) return;
      const most = Math.max(...columns[c].filter((v) => !Number.isNaN(v)).map(Math.abs));
      if (!most) return;
      cell.classList.add("bar");
      cell.classList.toggle("loss", value < 0);
      cell.style.setProperty("--share", Math.abs(value) / most);
    }));
  }

  /* A click, Enter or Space on a head sorts: up, down, and as it was. */
  function sortable(table, rows, heads, names, cells, columns, numeric) {
    heads.forEach((head, c) => {
      if (!names[c]) return;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.append(...(head.querySelector("p") ?? head).childNodes);
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const next = { ascending: "descending", descending: "" }[head.getAttribute("aria-sort")] ?? "ascending";
        for (const other of heads) other.removeAttribute("aria-sort");
        if (next) head.setAttribute("aria-sort", next);
        const sign = next === "descending" ? -1 : 1;
        const order = rows.map((_, i) => i);
        if (next) order.sort((a, b) => compare(a, b, sign) || a - b);
        table.tBodies[0].append(...order.map((i) => rows[i]));
      });
      function compare(a, b, sign) {
        const [x, y] = [columns[c][a], columns[c][b]];
        if (!numeric[c]) return sign * cells[a][c].localeCompare(cells[b][c]);
        return Number.isNaN(x) - Number.isNaN(y) || sign * (x - y) || 0; // what is no number comes last
      }
    });
  }

  function addTools(table, rows, heads, names, cells, file) {
    const tools = document.createElement("div");
    tools.className = "table-tools";
    const details = names.map((name) => names.length >= MANY && DETAILS.test(name));
    if (details.some(Boolean)) {
      for (const row of [table.tHead.rows[0], ...rows]) [...row.cells].forEach((cell, c) => cell.classList.toggle("detail", details[c]));
      const button = document.createElement("button");
      button.type = "button";
      const show = (all) => {
        table.classList.toggle("few", !all);
        button.setAttribute("aria-expanded", all);
        button.textContent = all ? "Fewer columns" : `All ${names.length} columns`;
        table.dispatchEvent(new Event("toggle")); // book.js measures what scrolls
      };
      button.addEventListener("click", () => show(table.classList.contains("few")));
      show(false);
      tools.append(button);
    }
    tools.append(link(`${file}.csv`, "CSV", "text/csv", csv([names, ...cells])), link(`${file}.json`, "JSON", "application/json", json(names, cells)));
    (table.closest(".pst-scrollable-table-container") ?? table).after(tools);
  }

  function link(name, text, type, content) {
    const a = document.createElement("a");
    a.download = name;
    a.textContent = text;
    a.setAttribute("aria-label", `${text} of this table`);
    a.href = `data:${type};charset=utf-8,${encodeURIComponent(content)}`;
    return a;
  }

  const csv = (lines) => lines.map((line) => line.map((text) => (/[",\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text)).join(",")).join("\r\n") + "\r\n";

  /* Cells that are nothing but a number become numbers. */
  function json(names, cells) {
    const value = (text) => (/^[-+]?\d[\d,]*(\.\d+)?$/.test(text) ? numberIn(text) : text);
    const rows = cells.map((row) => Object.fromEntries(row.map((text, c) => [names[c] || "name", value(text)])));
    return JSON.stringify(rows, null, 1);
  }
})();
