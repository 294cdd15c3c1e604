"use strict";
// Sorts tables and draws charts. The page is whole without it; it loads nothing and keeps nothing.
(() => {
  const root = document.documentElement;
  const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

  const value = (cell) => {
    const text = cell.dataset.v ?? cell.textContent.trim();
    const number = Number(text.replace(/[,%<>\u00d7]/g, "").replace("\u2212", "-"));
    return text !== "" && Number.isFinite(number) ? number : text;
  };
  const order = (a, b) => {
    if (typeof a === "number" && typeof b === "number") return a - b;
    if (typeof a === typeof b) return collator.compare(a, b);
    return typeof a === "number" ? 1 : -1;
  };

  const sort = (table, place, heads) => {
    const head = heads[place];
    const numeric = head.classList.contains("n");
    const before = head.getAttribute("aria-sort");
    const down = before ? before === "ascending" : numeric;
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [value(row.cells[place]), row]);
    rows.sort((a, b) => (down ? order(b[0], a[0]) : order(a[0], b[0])));
    body.append(...rows.map((pair) => pair[1]));
  };

  for (const table of document.querySelectorAll("table[data-sort]")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, place) => {
      if (!head.textContent) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sort(table, place, heads));
      head.append(button);
    });
  }

  // a box that cannot scroll needs no stop of the tab key
  const boxes = () => {
    for (const box of document.querySelectorAll(".scroll")) {
      box.toggleAttribute("tabindex", box.scrollWidth > box.clientWidth);
      if (box.hasAttribute("tabindex")) box.tabIndex = 0;
    }
  };

  const colour = (name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim();
  const resolved = (part) => {
    if (Array.isArray(part)) return part.map(resolved);
    if (part && typeof part === "object") {
      return Object.fromEntries(Object.entries(part).map(([key, inner]) => [key, resolved(inner)]));
    }
    return typeof part === "string" && part.startsWith("var:") ? colour(part.slice(4)) : part;
  };
  const theme = (width) => {
    const soft = colour("soft");
    const font = getComputedStyle(document.body).fontFamily;
    const axis = {
      labelColor: soft, titleColor: soft, tickColor: colour("line"), domainColor: soft, gridColor: colour("line"),
      labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal", labelFont: font, titleFont: font,
      labelLimit: 150, titlePadding: 8, titleLimit: width - 60,
    };
    return {
      background: null, font, aria: false, view: { stroke: null }, axis, axisY: { domain: false, ticks: false },
      axisX: { grid: false }, legend: { labelColor: soft, labelFont: font, labelFontSize: 12, columns: width < 480 ? 1 : 4 },
      text: { color: soft, font, fontSize: 12 }, bar: { color: colour("bar") },
      line: { color: colour("bar"), strokeWidth: 2 }, point: { color: colour("bar"), filled: true, size: 45 },
      rule: { color: colour("cut") },
      range: { category: ["bar", "cut", "third", "fourth", "fifth", "soft"].map(colour) },
    };
  };

  const views = [];
  const draw = () => {
    views.splice(0).forEach((view) => view.finalize());
    const tooltip = new roteVega.Handler({ disableDefaultStyle: true, theme: "custom" }).call;
    for (const holder of document.querySelectorAll("script.spec")) {
      const place = holder.parentElement.querySelector(".vega");
      const specification = { ...resolved(JSON.parse(holder.textContent)), config: theme(place.clientWidth) };
      const compiled = roteVega.compile(specification).spec;
      const view = new roteVega.View(roteVega.parse(compiled, null, { ast: true }), {
        expr: roteVega.expressionInterpreter, renderer: "svg", container: place, hover: true, tooltip,
        logLevel: roteVega.Warn,
      });
      views.push(view);
      // Vega names the element after itself; ours says what is to be seen
      place.setAttribute("role", "img");
      place.setAttribute("aria-label", holder.parentElement.querySelector("strong").textContent);
      place.removeAttribute("aria-roledescription");
      view.runAsync().then(() => {
        place.querySelector("svg").setAttribute("aria-hidden", "true"); // its marks have no words
        place.classList.add("ready");
      });
    }
  };

  if (document.querySelector("script.spec")) {
    draw();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  }
  boxes();
  window.addEventListener("resize", boxes);
  window.addEventListener("beforeprint", () => {
    document.querySelectorAll(".appendix ~ section details:not(.numbers)").forEach((part) => { part.open = true; });
  });
})();
