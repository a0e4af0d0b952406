"use strict";
(() => {
  const root = document.getElementById("browser");
  if (!root) return;
  const data = JSON.parse(document.getElementById("gallery-data").textContent);
  const PAGE = 24;
  const [INDEX, LABEL, TRAIN, NEAREST_TRAIN, OTHER, NEAREST_OTHER] = [0, 1, 2, 3, 4, 5];
  const ORDERS = {
    "as stored": null,
    "closest to a training image first": (a, b) => a[TRAIN] - b[TRAIN],
    "farthest from all training images first": (a, b) => b[TRAIN] - a[TRAIN],
    "closest to another sample first": (a, b) => (a[OTHER] ?? Infinity) - (b[OTHER] ?? Infinity),
  };
  const state = { size: data.start, label: opening(), order: "as stored", shown: PAGE };
  const sprites = new Map();
  let drawing = 0;

  // The class to open with: spurious where the training size has some, else all.
  function opening() {
    const spurious = data.classes.indexOf("spurious");
    return data.sizes[data.start].items.some((item) => item[LABEL] === spurious) ? spurious : -1;
  }

  function element(tag, className, ...children) {
    const node = document.createElement(tag);
    if (className) node.className = className;
    node.append(...children);
    return node;
  }

  // A group of radio buttons: arrow keys move within it, Tab leaves it.
  function choice(name, legend, options, selected, choose) {
    const group = element("fieldset", "choice", element("legend", "", legend));
    options.forEach(([value, text, className], i) => {
      const input = element("input", "");
      Object.assign(input, { type: "radio", name, id: `${name}-${i}`, checked: value === selected });
      input.addEventListener("change", () => choose(value));
      const label = element("label", className || "", text);
      label.htmlFor = input.id;
      group.append(element("span", "option", input, label));
    });
    return group;
  }

  function sprite(position) {
    if (!sprites.has(position)) {
      const image = new Image();
      image.src = data.sizes[position].sprite;
      sprites.set(position, image.decode().then(() => image));
    }
    return sprites.get(position);
  }

  function tile(image, size, place, column, description) {
    const canvas = element("canvas", "");
    canvas.width = size.width;
    canvas.height = size.height;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", description);
    const x = ((place % size.columns) * 3 + column) * size.width;
    const y = Math.floor(place / size.columns) * size.height;
    canvas.getContext("2d").drawImage(image, x, y, size.width, size.height, 0, 0, size.width, size.height);
    return canvas;
  }

  function note(text, distance, threshold) {
    const line = element("span", "note", text);
    if (distance === undefined) return line;
    const within = distance !== null && threshold !== null && distance <= threshold;
    line.append(element("br"), element(within ? "strong" : "span", "", distance === null ? "–" : distance.toPrecision(3)));
    return line;
  }

  function trio(image, size, item, place) {
    const kind = data.classes[item[LABEL]] ?? "unclassified";
    const cells = [
      [`sample ${item[INDEX]}`, note(`sample ${item[INDEX]}`, undefined, null)],
      [`training image ${item[NEAREST_TRAIN]}`, note(`training ${item[NEAREST_TRAIN]}`, item[TRAIN], size.delta_m)],
      [`other sample ${item[NEAREST_OTHER]}`, note(`sample ${item[NEAREST_OTHER]}`, item[OTHER], size.delta_s)],
    ];
    const figure = element("figure", `trio ${kind}`);
    cells.forEach(([description, caption], column) => {
      figure.append(element("div", "cell", tile(image, size, place, column, description), caption));
    });
    const caption = element("figcaption", "", kind);
    figure.prepend(caption);
    return figure;
  }

  function selection() {
    const size = data.sizes[state.size];
    const places = size.items.map((item, place) => [item, place]);
    const kept = places.filter(([item]) => state.label < 0 || item[LABEL] === state.label);
    const order = ORDERS[state.order];
    return order ? kept.sort(([a], [b]) => order(a, b)) : kept;
  }

  async function draw() {
    const turn = ++drawing;
    const size = data.sizes[state.size];
    const image = await sprite(state.size);
    if (turn !== drawing) return;
    const kept = selection();
    const shown = kept.slice(0, state.shown);
    grid.replaceChildren(...shown.map(([item, place]) => trio(image, size, item, place)));
    const kind = state.label < 0 ? "" : `${data.classes[state.label]} `;
    status.textContent = kept.length
      ? `K = ${size.k.toLocaleString("en-US")}: ${shown.length} of ${kept.length} stored ${kind}samples`
      : `K = ${size.k.toLocaleString("en-US")}: no ${kind}sample is stored`;
    more.hidden = shown.length === kept.length;
  }

  function change(values) {
    Object.assign(state, { shown: PAGE }, values);
    draw();
  }

  const select = element("select", "");
  select.id = "gallery-order";
  Object.keys(ORDERS).forEach((name) => select.append(new Option(name, name)));
  select.addEventListener("change", () => change({ order: select.value }));
  const selectLabel = element("label", "", "Order ");
  selectLabel.htmlFor = select.id;
  const status = element("p", "status");
  status.setAttribute("role", "status");
  const grid = element("div", "trios");
  const more = element("button", "more", "Show more");
  more.type = "button";
  more.addEventListener("click", () => {
    state.shown += PAGE;
    draw();
  });
  const sizes = data.sizes.map((size, i) => [i, size.k.toLocaleString("en-US")]);
  const kinds = [[-1, "all"], ...data.classes.map((name, i) => [i, name, name])];
  root.append(
    choice("gallery-size", "Training-set size K", sizes, state.size, (size) => change({ size })),
    choice("gallery-class", "Class", kinds, state.label, (label) => change({ label })),
    element("p", "choice", selectLabel, select),
    status,
    grid,
    more,
  );
  draw();
})();
