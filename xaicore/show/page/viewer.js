"use strict";
// The viewer: draws the maps of a page from its data, follows the signal down, and shows the arithmetic of one unit.
// Numbers and expressions come from the engine as they are; nothing is computed here but colours, differences of maps and positions.
(function () {
  const data = JSON.parse(document.getElementById("data").textContent);
  const FOR = [[255, 255, 255], [250, 192, 164], [221, 98, 76], [140, 14, 36]];      // the stops of show/heatmap.py
  const AGAINST = [[255, 255, 255], [170, 209, 238], [72, 140, 204], [22, 67, 142]];
  const byId = (id) => document.getElementById(id);
  const figure = (v) => (Math.abs(v) >= 1e6 || (v !== 0 && Math.abs(v) < 1e-4) ? v.toExponential(3) : String(Number(v.toPrecision(5))));

  function make(tag, text, name) {
    const e = document.createElement(tag);
    if (text !== undefined) e.textContent = text;
    if (name) e.className = name;
    return e;
  }
  function drawn(tag, attributes) {
    const e = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const k of Object.keys(attributes)) e.setAttribute(k, attributes[k]);
    return e;
  }
  function floats(text) {
    const raw = atob(text), bytes = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
    const view = new DataView(bytes.buffer), out = new Float32Array(bytes.length / 4);
    for (let i = 0; i < out.length; i++) out[i] = view.getFloat32(4 * i, true);
    return out;
  }
  function colour(v, limit) {
    const t = Math.min(1, Math.abs(v) / limit) * 3, stops = v >= 0 ? FOR : AGAINST, k = Math.min(2, Math.floor(t)), part = t - k;
    return [0, 1, 2].map((c) => Math.round(stops[k][c] + part * (stops[k + 1][c] - stops[k][c])));
  }
  function largest(values) {
    let top = 0;
    for (const v of values) top = Math.max(top, Math.abs(v));
    return top || 1;
  }

  data.rows.forEach((r) => { r.values = r.y === null ? null : floats(r.y); });
  data.cells.forEach((column) => column.forEach((c) => { if (c) c.values = floats(c.map); }));

  // ----- the table of maps ---------------------------------------------------------------------------------------
  const body = byId("grid").tBodies[0], places = [], trs = [];
  const shared = byId("shared"), first = byId("first"), second = byId("second"), opacity = byId("opacity"), photo = byId("photo");

  function cellOf(k, i) { return data.cells[k][i]; }
  function difference(i) {
    if (!second || second.value === "") return null;
    const a = cellOf(Number(first.value), i), b = cellOf(Number(second.value), i);
    if (!a || !b || a.values.length !== b.values.length) return null;
    return a.values.map((v, n) => v - b.values[n]);
  }
  function paint(place) {
    const row = data.rows[place.row], values = place.method === null ? difference(place.row) : cellOf(place.method, place.row).values;
    place.canvas.hidden = !values;
    if (!values) return;
    let limit = place.method === null ? largest(values) : cellOf(place.method, place.row).limit;
    if (shared.checked) limit = Math.max(...data.cells.map((column) => (column[place.row] ? column[place.row].limit : 0)));
    const context = place.canvas.getContext("2d"), image = context.createImageData(row.width, row.height);
    const over = Boolean(place.under && opacity), part = over ? opacity.value / 100 : 1;
    for (let n = 0; n < row.width * row.height; n++) {
      const v = n < values.length ? values[n] : 0, rgb = colour(v, limit);
      for (let c = 0; c < 3; c++) image.data[4 * n + c] = rgb[c];
      image.data[4 * n + 3] = Math.round(255 * (part + (over ? (1 - part) * Math.min(1, Math.abs(v) / limit) * 0.75 : 0)));
    }
    context.putImageData(image, 0, 0);
    place.limit = limit;
    place.canvas.style.background = over && part < 1 ? "transparent" : "#fff";
  }
  function repaint() { places.forEach(paint); }

  function mapOf(i, k) {
    const row = data.rows[i], box = make("div", undefined, "map"), canvas = make("canvas");
    const place = {row: i, method: k, canvas, at: 0, mark: make("div", undefined, "mark"), box, under: null};
    canvas.width = row.width; canvas.height = row.height;
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "img");
    const what = k === null ? "difference" : data.methods[k].label;
    canvas.setAttribute("aria-label", what + " at " + row.name + ", " + row.height + " by " + row.width + " cells; arrow keys move, Enter opens");
    if (row.height < row.width / 6) canvas.style.height = "22px";
    if (row.op === "input" && photo && row.height > 1) {
      place.under = make("img", undefined, "under");
      place.under.src = photo.src; place.under.alt = "";
      box.append(place.under);
      canvas.style.position = "relative";
    }
    place.mark.hidden = true;
    box.append(canvas, place.mark);
    canvas.addEventListener("mousemove", (e) => { move(place, cellAt(place, e)); tell(place, false); });
    canvas.addEventListener("mouseleave", () => { if (!pinned) hide(); });
    canvas.addEventListener("click", (e) => { move(place, cellAt(place, e)); tell(place, true); });
    canvas.addEventListener("focus", () => { move(place, place.at); tell(place, false); });
    canvas.addEventListener("keydown", (e) => keys(place, e));
    places.push(place);
    return box;
  }
  function cellAt(place, e) {
    const box = place.canvas.getBoundingClientRect(), row = data.rows[place.row];
    const x = Math.floor((e.clientX - box.left) / box.width * row.width), y = Math.floor((e.clientY - box.top) / box.height * row.height);
    return Math.min(row.height - 1, Math.max(0, y)) * row.width + Math.min(row.width - 1, Math.max(0, x));
  }
  function move(place, at) {
    const row = data.rows[place.row];
    places.forEach((p) => { p.mark.hidden = p !== place; });
    place.at = at;
    const s = place.mark.style;
    s.left = 100 * (at % row.width) / row.width + "%"; s.width = Math.max(3, 100 / row.width) + "%";
    s.top = 100 * Math.floor(at / row.width) / row.height + "%"; s.height = Math.max(3, 100 / row.height) + "%";
  }
  function keys(place, e) {
    const row = data.rows[place.row], x = place.at % row.width, y = Math.floor(place.at / row.width);
    const step = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[e.key];
    if (step) {
      const to = [Math.min(row.width - 1, Math.max(0, x + step[0])), Math.min(row.height - 1, Math.max(0, y + step[1]))];
      move(place, to[1] * row.width + to[0]);
      tell(place, false);
    } else if (e.key === "Enter" || e.key === " ") tell(place, true);
    else if (e.key === "Escape") { pinned = false; hide(); } else return;
    e.preventDefault();
  }

  function numbers(c, m) {
    const out = make("div", undefined, "numbers-of");
    out.append(make("div", (m.conserves ? "in " : "sum ") + figure(c.sum)));
    const kept = c.absorbed !== undefined && Math.abs(c.absorbed) < 1e-12 * Math.abs(c.sum) ? 0 : c.absorbed;      // rounding
    if (kept !== undefined && m.conserves) out.append(make("div", "absorbed " + figure(kept) + (c.why && kept ? " (" + c.why + ")" : "")));
    if (c.leak) out.append(make("div", "leaks " + figure(c.leak), "badge"));
    return out;
  }

  // The graph: rows below each other, neighbours joined straight, edges that jump over rows as arcs beside them.
  function graphOf(i, height) {
    const svg = drawn("svg", {width: 76, height, "aria-hidden": "true"}), r = data.rows[i];
    svg.append(drawn("circle", {cx: 54, cy: 18, r: 6, class: "node"}));
    r.from.forEach((j) => svg.append(drawn("path", {class: j === i + 1 ? "edge" : "edge skip", "data-to": j, d: ""})));
    return svg;
  }
  function wires() {
    const tops = trs.map((tr) => tr.getBoundingClientRect().top);
    trs.forEach((tr, i) => tr.querySelectorAll("path").forEach((path) => {
      const j = Number(path.dataset.to), deep = tops[j] - tops[i], wide = Math.min(46, 14 + 5 * (j - i));
      path.setAttribute("d", j === i + 1 ? `M54 24 V${deep + 12}` : `M48 18 C${54 - wide} 30 ${54 - wide} ${deep + 6} 48 ${deep + 18}`);
    }));
  }
  data.rows.forEach((row, i) => {
    const tr = make("tr"), head = make("th"), side = make("div", undefined, "head"), words = make("div");
    head.scope = "row";
    words.append(make("div", row.name), make("span", row.op + " " + row.shape.join(" x "), "faint"), make("span", row.how, "faint"));
    side.append(graphOf(i, 40), words);
    head.append(side);
    tr.append(head);
    data.methods.forEach((m, k) => {
      const c = cellOf(k, i), cell = make("td");
      if (c) cell.append(mapOf(i, k), numbers(c, m)); else cell.append(make("span", "-", "faint"));
      tr.append(cell);
    });
    const diff = make("td", undefined, "difference");
    diff.hidden = true;
    diff.append(mapOf(i, null));
    tr.append(diff);
    body.append(tr);
    trs.push(tr);
  });

  // ----- the slider ------------------------------------------------------------------------------------------------
  const depth = byId("depth");
  function follow() {
    const k = Number(depth.value);
    trs.forEach((tr, i) => { tr.classList.toggle("beyond", i >= k); tr.classList.toggle("now", i === k - 1 && k < trs.length); });
    byId("depth-name").textContent = data.rows[k - 1].name + " (" + k + " of " + trs.length + ")";
  }
  depth.addEventListener("input", follow);

  // ----- one unit ------------------------------------------------------------------------------------------------------
  let pinned = false;
  const panel = byId("unit"), inside = byId("unit-body");
  function hide() { panel.hidden = true; places.forEach((p) => { p.mark.hidden = true; }); }
  function sum(title, part, end) {
    const rows = part.lines.map(([entry, text, value]) => entry + ":  " + text + (text === String(value) ? "" : "  =  " + figure(value)));
    if (part.left) rows.push(part.left + (part.lines.length ? " more" : " units") + ", together  " + figure(part.rest));
    inside.append(make("div", title, "faint"));
    const pre = make("pre", rows.join("\n") + (end ? "\n" + end : ""));
    pre.dataset.lines = JSON.stringify(part.lines);
    inside.append(pre);
  }
  function tell(place, click) {
    if (pinned && !click) return;
    pinned = click;
    const k = place.method, row = data.rows[place.row];
    inside.replaceChildren();
    panel.hidden = false;
    panel.classList.toggle("pinned", click);
    if (k === null) {
      const values = difference(place.row);
      if (!values) { hide(); return; }
      inside.append(make("h3", row.name + ", cell " + place.at), make("p", "difference " + figure(values[place.at] || 0)));
      return;
    }
    const c = cellOf(k, place.row), m = data.methods[k], units = (c.units || []).filter((u) => u.cell === place.at);
    inside.append(make("h3", m.label + ": " + row.name + ", cell " + Math.floor(place.at / row.width) + "," + place.at % row.width));
    inside.append(make("p", "activation " + (row.values ? figure(row.values[place.at] || 0) : "?") + ", " + m.word + " " + figure(c.values[place.at] || 0)
      + (row.how ? " (" + row.how + ")" : "")));
    if (!units.length) {
      inside.append(make("p", c.units && !c.values[place.at] ? "No " + m.word + " arrives here."
        : c.units ? "Of this cell no unit is written out here, because others have more. xaicore trace shows every unit."
        : m.note || "This method is not one backward pass."));
      return;
    }
    if (click && units.length > 1) units.forEach((u) => {
      const b = make("button", u.unit, "other");
      b.type = "button";
      b.addEventListener("click", () => unit(u, m, true));
      inside.append(b);
    });
    unit(units[0], m, click);
  }
  function unit(u, m, full) {
    inside.querySelectorAll(".of-unit").forEach((e) => e.remove());
    const before = inside.childElementCount;
    inside.append(make("p", u.unit + ": y = " + figure(u.y) + ", " + m.word + " " + m.letter + " = " + figure(u.signal)));
    sum("received from", u.in);
    if (u.out) sum("passes on to" + (full && u.equation ? ", by " + u.rule + ":  " + u.equation : ""), u.out,
      full && m.conserves ? "passed on in all " + figure(u.passed) + ", absorbed " + figure(u.signal - u.passed) : "");
    if (full && u.forward) sum("forward, " + u.operator, u.forward, "y = " + figure(u.y));
    if (!full) inside.append(make("p", "click: the arithmetic", "faint"));
    Array.from(inside.children).slice(before).forEach((e) => e.classList.add("of-unit"));
  }
  byId("close").addEventListener("click", () => { pinned = false; hide(); });
  document.addEventListener("keydown", (e) => { if (e.key === "Escape") { pinned = false; hide(); } });

  // ----- the other controls ----------------------------------------------------------------------------------------
  shared.addEventListener("change", repaint);
  if (opacity) opacity.addEventListener("input", repaint);
  [first, second].forEach((s) => s && s.addEventListener("change", () => {
    document.querySelectorAll(".difference").forEach((e) => { e.hidden = second.value === ""; });
    repaint();
  }));
  byId("theme").addEventListener("change", (e) => { document.documentElement.dataset.theme = e.target.value; });
  document.querySelectorAll(".tokens").forEach((p) => p.querySelectorAll("span").forEach((s) => {
    const rgb = colour(Number(s.dataset.value), Number(p.dataset.limit));
    s.style.background = "rgb(" + rgb.join(",") + ")";
    s.style.color = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2] > 120 ? "#19191e" : "#ffffff";
  }));
  document.querySelectorAll(".curve").forEach((section) => {
    const method = data.methods[Number(section.dataset.method)], points = method.curve, slider = section.querySelector("input"), out = section.querySelector("output");
    const dot = section.querySelector("circle.dot");
    const ways = method.way.map((w) => ({...w, ends: w.ends.map(floats), moves: w.moves.map(floats)}));
    function draw(canvas, w, values, limit) {
      canvas.width = w.width; canvas.height = w.height;
      const context = canvas.getContext("2d"), image = context.createImageData(w.width, w.height);
      for (let n = 0; n < w.width * w.height; n++) image.data.set([...colour(n < values.length ? values[n] : 0, limit), 255], 4 * n);
      context.putImageData(image, 0, 0);
    }
    function blend(w, a) {                                             // between the stored points on both sides of a
      let k = 0;
      while (k < w.stops.length - 2 && w.stops[k + 1] < a) k += 1;
      const part = (a - w.stops[k]) / (w.stops[k + 1] - w.stops[k]);
      return w.moves[k].map((v, n) => (1 - part) * v + part * w.moves[k + 1][n]);
    }
    function walk(a) {
      section.querySelectorAll("figure[data-way]").forEach((figure) => {
        const w = ways[Number(figure.dataset.way)], end = figure.querySelector(".end"), canvas = figure.querySelector("canvas");
        if (end) end.style.opacity = a;
        if (canvas) draw(canvas, w, w.ends[0].map((v, n) => (1 - a) * v + a * w.ends[1][n]), w.size);
      });
      section.querySelectorAll("canvas.slope").forEach((canvas) => {
        const w = ways[Number(canvas.dataset.way)];
        draw(canvas, w, blend(w, a), w.limit);
      });
    }
    function show() {
      const a = slider.value / 1000;
      walk(a);
      let k = points.findIndex((p) => p[0] >= a);
      if (k < 0) k = points.length - 1;
      if (k > 0 && a - points[k - 1][0] < points[k][0] - a) k -= 1;
      out.textContent = figure(points[k][0]) + ": f = " + figure(points[k][1]);
      if (dot) { const at = dot.dataset.points.split(" ")[k].split(","); dot.setAttribute("cx", at[0]); dot.setAttribute("cy", at[1]); }
    }
    slider.addEventListener("input", show);
    show();
  });

  byId("controls").hidden = false;
  byId("flow").hidden = false;
  repaint();
  follow();
  wires();
  window.addEventListener("resize", wires);
}());
