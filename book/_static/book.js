/* What cannot be written in the pages: names for a few parts of the theme, and tables that scroll. */

// Browsers let no page from disk read another one, so there a search cannot quote what it finds.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

document.addEventListener("DOMContentLoaded", () => {
  // The button says "Search Ctrl+K"; a name that says less than one sees confuses voice control.
  for (const button of document.querySelectorAll(".search-button-field, details.hide > summary")) {
    button.removeAttribute("aria-label");
  }
  for (const button of document.querySelectorAll(".theme-switch-button")) {
    button.setAttribute("aria-label", "Color mode: light, dark or system settings");
  }

  // A definition stays within the window, and Escape closes it.
  for (const term of document.querySelectorAll("a.term")) {
    const place = () => {
      term.classList.remove("closed");
      const room = document.documentElement.clientWidth - term.getBoundingClientRect().left;
      const width = Math.min(352, innerWidth * 0.85) + 32; // the widest that the style allows
      term.style.setProperty("--shift", `${Math.min(0, room - width)}px`);
    };
    term.addEventListener("pointerenter", place);
    term.addEventListener("focus", place);
    term.addEventListener("keydown", (event) => {
      if (event.key === "Escape") term.classList.add("closed");
    });
  }

  for (const entry of document.querySelectorAll('[role="list"] > .citation')) {
    entry.setAttribute("role", "listitem");
  }

  // Letters of a plot are 11 to 16 pixels high in its own size; at less than SMALLEST of it they are
  // hard to read, so a wide plot keeps that size on a phone and scrolls.
  const SMALLEST = 0.6;
  for (const plot of document.querySelectorAll(".bd-article img.plot")) {
    const enlarge = () => {
      const width = Number(plot.getAttribute("width")) || plot.naturalWidth / 2;
      plot.style.minWidth = `${Math.floor(SMALLEST * width)}px`;
      const box = document.createElement("div");
      box.className = "wide-figure";
      plot.replaceWith(box);
      box.append(plot);
    };
    if (plot.complete) enlarge();
    else plot.addEventListener("load", enlarge, { once: true });
  }

  // Keyboards reach what scrolls sideways, and screen readers say what it is.
  const SCROLLING = { "pst-scrollable-table-container": "Table", "wide-figure": "Figure" };
  const markScrolling = () => {
    for (const box of document.querySelectorAll(
      ".pst-scrollable-table-container, .wide-figure, .bd-article pre, .bd-article mjx-container"
    )) {
      const wide = box.scrollWidth > box.clientWidth + 1;
      box.classList.toggle("wide", wide);
      if (wide || box.scrollHeight > box.clientHeight + 1) box.setAttribute("tabindex", "0");
      else box.removeAttribute("tabindex");
      const kind = [...box.classList].map((name) => SCROLLING[name]).find(Boolean);
      if (!kind) continue;
      if (wide) {
        box.setAttribute("role", "region");
        box.setAttribute("aria-label", `${kind}, scrolls sideways`);
      } else {
        box.removeAttribute("role");
        box.removeAttribute("aria-label");
      }
    }
  };
  markScrolling();
  window.addEventListener("load", () => {
    markScrolling();
    window.MathJax?.startup?.promise?.then(markScrolling); // formulas come last
  });
  new ResizeObserver(markScrolling).observe(document.querySelector(".bd-article") ?? document.body);
  document.addEventListener("toggle", markScrolling, true); // a fold was opened
});
