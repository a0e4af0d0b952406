"use strict";
(() => {
  const root = document.getElementById("explorer");
  if (!root) return;
  const data = JSON.parse(document.getElementById("circle-data").textContent);
  if (!data.views.length) return;
  const SVG = "http://www.w3.org/2000/svg";
  const SIDE = 400;
  const SHADES = [[255, 253, 247], [228, 223, 210], [185, 178, 162], [111, 106, 96]];
  const KINDS = ["memory", "spurious", "continuum"];
  const [X, Y, KIND, ANGLE, RADIUS, ENERGY, NUMBER, BARRIER] = [0, 1, 2, 3, 4, 5, 6, 7];
  const state = { count: data.start[0], beta: data.start[1] };

  function element(tag, className, ...children) {
    const node = document.createElement(tag);
    if (className) node.className = className;
    node.append(...children);
    return node;
  }

  function shape(tag, className, attributes) {
    const node = document.createElementNS(SVG, tag);
    node.setAttribute("class", className);
    Object.entries(attributes).forEach(([name, value]) => node.setAttribute(name, value));
    return node;
  }

  function bytes(text) {
    return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  }

  // A slider over positions 0..n-1: arrow keys move it; its text is what it stands for.
  function dial(id, name, texts, position, choose) {
    const input = element("input", "");
    Object.assign(input, { type: "range", id, min: 0, max: texts.length - 1, step: 1, value: position });
    const output = element("output", "");
    output.htmlFor = id;
    const show = () => {
      output.textContent = texts[input.value];
      input.setAttribute("aria-valuetext", texts[input.value]);
    };
    input.addEventListener("input", () => {
      show();
      choose(Number(input.value));
    });
    show();
    const label = element("label", "", name, output);
    label.htmlFor = id;
    return element("div", "dial", label, input);
  }

  function place(value) {
    return ((value / data.extent + 1) / 2) * SIDE;
  }

  function shade(level) {
    const scaled = (level / 255) * (SHADES.length - 1);
    const low = Math.min(Math.floor(scaled), SHADES.length - 2);
    return SHADES[low].map((from, i) => from + (SHADES[low + 1][i] - from) * (scaled - low));
  }

  // The marker of a class: circle, diamond or square, as in the figures.
  function marker(kind, x, y, size, className) {
    if (kind === "memory") return shape("circle", className, { cx: x, cy: y, r: size });
    const reach = kind === "spurious" ? size * 1.25 : size * 0.95;
    const corners = kind === "spurious"
      ? [[0, -reach], [reach, 0], [0, reach], [-reach, 0]]
      : [[-reach, -reach], [reach, -reach], [reach, reach], [-reach, reach]];
    const points = corners.map(([dx, dy]) => `${x + dx},${y + dy}`).join(" ");
    return shape("polygon", className, { points });
  }

  function paint(view) {
    const n = view.points;
    const levels = bytes(view.energy);
    const small = document.createElement("canvas");
    small.width = small.height = n;
    const image = small.getContext("2d").createImageData(n, n);
    for (let row = 0; row < n; row++) {
      for (let column = 0; column < n; column++) {
        const color = shade(levels[(n - 1 - row) * n + column]);
        image.data.set([...color, 255], 4 * (row * n + column));
      }
    }
    small.getContext("2d").putImageData(image, 0, 0);
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    context.drawImage(small, 0, 0, canvas.width, canvas.height);
  }

  function arrows(view) {
    const n = view.arrow_points;
    const values = bytes(view.arrows);
    const step = SIDE / (n - 1);
    let path = "";
    for (let row = 0; row < n; row++) {
      for (let column = 0; column < n; column++) {
        const at = 2 * (row * n + column);
        const [u, v] = [(values[at] - 128) / 127, (values[at + 1] - 128) / 127];
        const [dx, dy] = [u * step * 0.45, -v * step * 0.45];
        const length = Math.hypot(dx, dy);
        if (length < 0.8) continue;
        const [x, y] = [column * step, SIDE - row * step];
        const [tipX, tipY] = [x + dx, y + dy];
        const head = Math.min(4, length * 0.6);
        const [ux, uy] = [(dx / length) * head, (dy / length) * head];
        path += `M${(x - dx).toFixed(1)} ${(y - dy).toFixed(1)}L${tipX.toFixed(1)} ${tipY.toFixed(1)}`;
        path += `M${(tipX - ux - uy * 0.6).toFixed(1)} ${(tipY - uy + ux * 0.6).toFixed(1)}L${tipX.toFixed(1)} ${tipY.toFixed(1)}`;
        path += `L${(tipX - ux + uy * 0.6).toFixed(1)} ${(tipY - uy - ux * 0.6).toFixed(1)}`;
      }
    }
    return shape("path", "arrow", { d: path });
  }

  function overlay(view, degrees) {
    const nodes = [arrows(view)];
    const middle = SIDE / 2;
    if (view.ring) nodes.push(shape("circle", "ring", { cx: middle, cy: middle, r: place(view.ring) - middle }));
    if (view.ring === 0) nodes.push(marker("spurious", middle, middle, 6, "state spurious"));
    view.minima.forEach((minimum) => {
      const size = view.minima.length < 20 ? 6 : 4;
      const node = marker(minimum[KIND], place(minimum[X]), SIDE - place(minimum[Y]), size, `state ${minimum[KIND]}`);
      const title = shape("title", "", {});
      title.textContent = `${minimum[KIND]} at ${minimum[ANGLE].toFixed(1)}°`;
      node.append(title);
      nodes.push(node);
    });
    (degrees || []).forEach((degree) => {
      const radians = (degree * Math.PI) / 180;
      nodes.push(shape("circle", "pattern", { cx: place(Math.cos(radians)), cy: SIDE - place(Math.sin(radians)), r: 2 }));
    });
    return nodes;
  }

  function sentence(view) {
    const where = `K = ${data.counts[state.count]}, β = ${data.betas[state.beta]} (t = ${data.times[state.beta]})`;
    if (view.ring === 0) return `${where}: one minimum, the center.`;
    if (view.ring) return `${where}: a ring of minima with radius ${view.ring.toFixed(4)}.`;
    const numbers = KINDS.map((kind) => [kind, view.minima.filter((minimum) => minimum[KIND] === kind).length]);
    const parts = numbers.filter(([, number]) => number).map(([kind, number]) => `${number} ${kind}`);
    const total = view.minima.length;
    return `${where}: ${total} ${total === 1 ? "minimum" : "minima"} (${parts.join(", ")}).`;
  }

  function rows(view) {
    return view.minima.map((minimum) => {
      const barrier = minimum[BARRIER] === null ? "–" : minimum[BARRIER].toPrecision(3);
      const cells = [
        `${minimum[ANGLE].toFixed(1)}°`, minimum[RADIUS].toFixed(3), minimum[ENERGY].toPrecision(3),
        minimum[NUMBER].toFixed(1), barrier,
      ];
      const head = element("th", "", minimum[KIND]);
      head.scope = "row";
      return element("tr", "", head, ...cells.map((text) => element("td", "", text)));
    });
  }

  function draw() {
    const view = data.views[state.count][state.beta];
    paint(view);
    drawing.replaceChildren(...overlay(view, data.patterns[state.count]));
    status.textContent = sentence(view);
    body.replaceChildren(...rows(view));
    scroll.hidden = !view.minima.length;
  }

  function key() {
    const list = element("p", "key");
    KINDS.forEach((kind) => {
      const icon = shape("svg", "", { viewBox: "0 0 16 16", "aria-hidden": "true" });
      icon.append(marker(kind, 8, 8, 6, kind));
      list.append(element("span", "", icon, kind));
    });
    list.append(element("span", "", "• pattern"));
    return list;
  }

  const canvas = element("canvas", "");
  canvas.width = canvas.height = 2 * SIDE;
  const drawing = shape("svg", "", { viewBox: `0 0 ${SIDE} ${SIDE}`, role: "img" });
  drawing.setAttribute("aria-label", "Map of the energy with its minima; the text beside it says what is there.");
  const status = element("p", "status");
  status.setAttribute("role", "status");
  const head = element("tr", "", ...["class", "angle", "radius", "energy", "N_eff", "barrier, kT"].map((name) => {
    const cell = element("th", "", name);
    cell.scope = "col";
    return cell;
  }));
  const body = element("tbody", "");
  const scroll = element("div", "scroll", element("table", "", element("thead", "", head), body));
  scroll.tabIndex = 0;
  scroll.setAttribute("role", "region");
  scroll.setAttribute("aria-label", "Minima of the landscape shown");
  root.append(
    element("h3", "", "Move through the landscapes"),
    element(
      "div", "dials",
      dial("dial-count", "Number of patterns K", data.counts, state.count, (count) => { state.count = count; draw(); }),
      dial("dial-beta", "Inverse temperature β", data.betas, state.beta, (beta) => { state.beta = beta; draw(); }),
    ),
    element("div", "scene", canvas, drawing),
    element("div", "reading", status, key(), scroll),
  );
  draw();
})();
