// Draws the UMAPs of a run: real samples as dots, replayed ones as crosses, a colour for each class.
//
// Each <figure data-scatter> holds its data as JSON (reports/scatter.py). Numbers are base64 of little-endian
// 16-bit integers; points lie on a grid of 65,536 a side, y upwards. `data-drawn` on the canvas says how many
// points are in view, `data-milliseconds` how long the last drawing took.
"use strict";

const GRID = 65535;
const MARGIN = 14; // pixels around the points when all are in view
const REACH = 14; // pixels from the pointer to the point that it means
const DOT = 3, CROSS = 2.6; // pixels: radius, and half the width
const FAINT = 0.1; // opacity of the other classes, while one is pointed at
const LIFT = 0.25; // towards white, in the dark: thin crosses need it (page.css has it for the list)
const MOST_ZOOM = 60, STEP = 1.35, PAN = 40;
const THUMBNAIL = 112; // pixels a side, on the card
const LONG = 18, FEW = 12; // characters of a name in the plot; classes named there, and listed at once

class Scatter {
  constructor(figure) {
    this.figure = figure;
    const data = JSON.parse(figure.querySelector("script").textContent);
    Object.assign(this, data, { inks: data.colours.map(rgb) }); // size, sheet, tasks, names, colours
    this.canvas = figure.querySelector("canvas");
    this.context = this.canvas.getContext("2d");
    this.card = figure.querySelector(".card");
    for (const task of this.tasks) decode(task);
    this.shown = { real: true, replay: true, classes: new Uint8Array(this.names.length).fill(1) };
    this.hot = -1; // the class pointed at in the list
    this.chosen = -1; // the point on the card
    this.view = { zoom: 1, x: 0.5, y: 0.5 }; // what of the unit square is in the middle
    this.controls();
    this.choose(this.tasks.length - 1);
    this.listen();
    new ResizeObserver(() => this.resize()).observe(this.canvas);
    document.addEventListener("themechange", () => this.redraw());
    figure.classList.add("live");
  }

  // ---- what is drawn -------------------------------------------------------------------------------------

  choose(index) {
    this.task = this.tasks[index];
    this.chosen = -1;
    const counts = new Array(this.names.length).fill(0);
    for (const c of this.task.classes) counts[c] += 1;
    this.labels.forEach(({ label, c }) => (label.hidden = counts[c] === 0));
    this.figure.querySelector(".when").textContent = this.task.title;
    this.task.middles ??= middles(this.task);
    const replayed = this.task.classes.length - this.task.real;
    this.counts.real.textContent = this.task.real.toLocaleString("en");
    this.counts.replay.textContent = replayed.toLocaleString("en");
    for (const sheet of [this.sheet, this.task.sheet])
      if (sheet) sheet.image ??= Object.assign(new Image(), { src: sheet.src }); // before it is asked for
    this.redraw();
  }

  isReplay(i) {
    return i >= this.task.real;
  }

  isShown(i) {
    return this.shown[this.isReplay(i) ? "replay" : "real"] && this.shown.classes[this.task.classes[i]];
  }

  // Where point i lies on the canvas, in CSS pixels.
  place(i) {
    const { x, y, zoom } = this.view, side = Math.min(this.width, this.height) - 2 * MARGIN;
    return [
      this.width / 2 + (this.task.points[2 * i] / GRID - x) * side * zoom,
      this.height / 2 - (this.task.points[2 * i + 1] / GRID - y) * side * zoom,
    ];
  }

  redraw() {
    if (this.waiting || !this.width) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = 0;
      this.draw();
    });
  }

  draw() {
    const start = performance.now(), { context, ratio } = this, { shapes, sheet, cell } = this.stamps();
    const style = getComputedStyle(this.canvas), paper = rgb(style.backgroundColor), data = sheet.data;
    new Uint32Array(data.buffer).fill((255 << 24) | (paper[2] << 16) | (paper[1] << 8) | paper[0]);
    // Numbers by hand, not place(i): ten thousand points are drawn while a finger moves.
    const { points, classes, real } = this.task, { x, y, zoom } = this.view;
    const scale = ((Math.min(this.width, this.height) - 2 * MARGIN) * zoom * ratio) / GRID;
    const left = (this.width / 2) * ratio - x * GRID * scale + cell / 2;
    const top = (this.height / 2) * ratio + y * GRID * scale + cell / 2;
    const lift = paper[0] < 128 ? LIFT : 0, inks = this.inks.map((ink) => ink.map((v) => v + (255 - v) * lift));
    let drawn = 0;
    for (let i = 0; i < classes.length; i++) {
      const c = classes[i], replay = i >= real;
      if (!this.shown.classes[c] || !(replay ? this.shown.replay : this.shown.real)) continue;
      const px = Math.round(left + points[2 * i] * scale), py = Math.round(top - points[2 * i + 1] * scale);
      if (px < 0 || py < 0 || px > sheet.width - cell || py > sheet.height - cell) continue;
      const { at, cover } = shapes[replay ? 1 : 0], [red, green, blue] = inks[c];
      const origin = 4 * (py * sheet.width + px), share = this.hot < 0 || c === this.hot ? 1 : FAINT;
      for (let k = 0; k < at.length; k++) {
        const o = origin + at[k], part = cover[k] * share;
        data[o] += (red - data[o]) * part;
        data[o + 1] += (green - data[o + 1]) * part;
        data[o + 2] += (blue - data[o + 2]) * part;
      }
      drawn += 1;
    }
    context.putImageData(sheet, -cell, -cell);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.title(style);
    if (this.chosen >= 0) this.ring(this.chosen, style);
    this.canvas.dataset.drawn = drawn;
    this.canvas.dataset.milliseconds = (performance.now() - start).toFixed(2);
  }

  // A dot and a cross as the pixels that they cover and how much of each, on a sheet with a rim so wide that
  // none hangs over. Painting these pixels is several times as fast as ten thousand calls of drawImage.
  stamps() {
    const { ratio, canvas } = this, cell = Math.ceil((2 * DOT + 2) * ratio), arm = CROSS * ratio;
    const width = canvas.width + 2 * cell, height = canvas.height + 2 * cell;
    if (this.stamped?.sheet.width === width && this.stamped.sheet.height === height) return this.stamped;
    const shape = (opacity, trace) => {
      const small = document.createElement("canvas"), at = [], cover = [];
      small.width = small.height = cell;
      const context = small.getContext("2d");
      context.translate(cell / 2, cell / 2);
      context.lineWidth = 1.25 * ratio;
      trace(context);
      context.getImageData(0, 0, cell, cell).data.forEach((value, k) => {
        if (k % 4 < 3 || !value) return;
        at.push(4 * (Math.floor(k / 4 / cell) * width + (Math.floor(k / 4) % cell)));
        cover.push((opacity * value) / 255);
      });
      return { at: Int32Array.from(at), cover: Float32Array.from(cover) };
    };
    const dot = shape(0.45, (context) => (context.arc(0, 0, DOT * ratio, 0, 2 * Math.PI), context.fill()));
    const cross = shape(1, (context) => {
      for (const side of [1, -1]) context.moveTo(-arm, -arm * side), context.lineTo(arm, arm * side);
      context.stroke();
    });
    return (this.stamped = { shapes: [dot, cross], sheet: new ImageData(width, height), cell });
  }

  // Colours alone are a lot to ask of a reader: few classes have their names where most of each lies.
  title(style) {
    const named = [...this.task.middles].filter(([c]) => this.shown.classes[c]), { context } = this;
    if (named.length > FEW || !(this.shown.real || this.shown.replay)) return;
    Object.assign(context, { font: `600 13px ${style.fontFamily}`, textAlign: "center", lineWidth: 3.5 });
    Object.assign(context, { lineJoin: "round", strokeStyle: style.backgroundColor, fillStyle: style.color });
    for (const [c, point] of named) {
      const [x, y] = this.place(point), name = this.names[c];
      const text = name.length > LONG ? `${name.slice(0, LONG - 1)}…` : name;
      context.strokeText(text, x, y + 4);
      context.fillText(text, x, y + 4);
    }
  }

  ring(i, style) {
    const [x, y] = this.place(i), { context } = this;
    context.strokeStyle = style.color;
    context.lineWidth = 1.5;
    context.beginPath();
    context.arc(x, y, 7, 0, 2 * Math.PI);
    context.stroke();
  }

  resize() {
    const box = this.canvas.getBoundingClientRect();
    if (!box.width) return; // in a closed section
    Object.assign(this, { width: box.width, height: box.height, ratio: devicePixelRatio || 1 });
    const [width, height] = [box.width, box.height].map((side) => Math.round(side * this.ratio));
    Object.assign(this.canvas, { width, height });
    this.draw(); // now: a resized canvas is blank
  }

  // ---- moving about --------------------------------------------------------------------------------------

  // The point of the plane under (px, py) stays there.
  zoom(factor, px = this.width / 2, py = this.height / 2) {
    const view = this.view, side = Math.min(this.width, this.height) - 2 * MARGIN;
    const zoom = Math.min(MOST_ZOOM, Math.max(1, view.zoom * factor));
    const shift = (1 / view.zoom - 1 / zoom) / side;
    view.x += (px - this.width / 2) * shift;
    view.y -= (py - this.height / 2) * shift;
    view.zoom = zoom;
    this.settle();
  }

  pan(dx, dy) {
    const side = (Math.min(this.width, this.height) - 2 * MARGIN) * this.view.zoom;
    this.view.x -= dx / side;
    this.view.y += dy / side;
    this.settle();
  }

  settle() {
    const view = this.view, keep = (value) => Math.min(1, Math.max(0, value));
    Object.assign(view, view.zoom === 1 ? { x: 0.5, y: 0.5 } : { x: keep(view.x), y: keep(view.y) });
    // One finger scrolls the page until there is something to pan to.
    this.canvas.style.touchAction = view.zoom === 1 ? "pan-y" : "none";
    this.redraw();
  }

  listen() {
    const { canvas } = this, fingers = new Map();
    const at = (event) => {
      const box = canvas.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    const spread = () => {
      const [[ax, ay], [bx, by]] = fingers.values();
      return [Math.hypot(ax - bx, ay - by), (ax + bx) / 2, (ay + by) / 2];
    };
    canvas.addEventListener("pointerdown", (event) => {
      fingers.set(event.pointerId, at(event));
      canvas.setPointerCapture(event.pointerId);
      if (event.pointerType !== "mouse") this.look(this.nearest(...at(event)));
    });
    canvas.addEventListener("pointermove", (event) => {
      const now = at(event), before = fingers.get(event.pointerId);
      if (!before) return this.look(this.nearest(...now));
      if (fingers.size === 2) {
        const [was] = spread();
        fingers.set(event.pointerId, now);
        const [is, x, y] = spread();
        return this.zoom(is / Math.max(was, 1), x, y);
      }
      fingers.set(event.pointerId, now);
      if (this.view.zoom > 1) this.pan(now[0] - before[0], now[1] - before[1]);
    });
    for (const end of ["pointerup", "pointercancel"])
      canvas.addEventListener(end, (event) => fingers.delete(event.pointerId));
    canvas.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && this.look(-1));
    // The wheel scrolls the page, unless the plot is being worked with.
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && document.activeElement !== canvas) return;
      event.preventDefault();
      this.zoom(STEP ** (-event.deltaY / 100), ...at(event));
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => {
      const does = {
        ArrowLeft: () => this.pan(PAN, 0), ArrowRight: () => this.pan(-PAN, 0),
        ArrowUp: () => this.pan(0, PAN), ArrowDown: () => this.pan(0, -PAN),
        "+": () => this.zoom(STEP), "=": () => this.zoom(STEP), "-": () => this.zoom(1 / STEP),
        0: () => this.zoom(0), n: () => this.step(1), p: () => this.step(-1), Escape: () => this.look(-1),
      }[event.key];
      if (!does || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      does();
    });
  }

  // ---- one point -----------------------------------------------------------------------------------------

  nearest(x, y) {
    let found = -1, least = REACH ** 2;
    for (let i = 0; i < this.task.classes.length; i++) {
      if (!this.isShown(i)) continue;
      const [px, py] = this.place(i), distance = (px - x) ** 2 + (py - y) ** 2;
      if (distance < least) [found, least] = [i, distance];
    }
    return found;
  }

  // The next point that is shown and in view: with the keyboard, what the pointer is to others.
  step(by) {
    const n = this.task.classes.length;
    for (let k = 1, i = this.chosen; k <= n; k++) {
      i = (i + by + n) % n;
      const [x, y] = this.place(i);
      if (this.isShown(i) && x >= 0 && y >= 0 && x <= this.width && y <= this.height) return this.look(i);
    }
  }

  look(i) {
    if (i === this.chosen) return;
    this.chosen = i;
    this.card.hidden = i < 0;
    if (i >= 0) {
      const name = this.names[this.task.classes[i]], depth = this.task.depths[i];
      const [x, y] = this.place(i), source = this.isReplay(i) ? "replay" : "real (test)";
      this.card.querySelector(".class").textContent = name;
      this.card.querySelector(".source").textContent = source;
      this.card.querySelector(".depth").textContent = this.isReplay(i) ? `generation depth ${depth}` : "";
      this.card.classList.toggle("left", x > this.width / 2);
      this.card.classList.toggle("low", y < this.height / 2);
      if (this.size) this.thumbnail(i);
      else {
        const [u, v] = [0, 1].map((axis) => (this.task.points[2 * i + axis] / GRID).toFixed(3));
        this.card.querySelector(".depth").textContent += ` at ${u}, ${v}`;
      }
    }
    this.redraw();
  }

  thumbnail(i) {
    const canvas = this.card.querySelector("canvas"), [width, height] = this.size, cell = this.task.cells[i];
    const { image, columns } = this.isReplay(i) ? this.task.sheet : this.sheet;
    const scale = THUMBNAIL / Math.max(width, height);
    Object.assign(canvas, { width: Math.round(width * scale), height: Math.round(height * scale) });
    const paint = () => {
      if (this.chosen !== i) return;
      const context = canvas.getContext("2d");
      context.imageSmoothingEnabled = false;
      const left = (cell % columns) * width, top = Math.floor(cell / columns) * height;
      context.drawImage(image, left, top, width, height, 0, 0, canvas.width, canvas.height);
    };
    if (image.complete) paint();
    else image.addEventListener("load", paint, { once: true });
  }

  // ---- controls ------------------------------------------------------------------------------------------

  controls() {
    const find = (selector) => this.figure.querySelector(selector);
    this.counts = { real: find(".real-count"), replay: find(".replay-count") };
    for (const source of ["real", "replay"])
      find(`input[value=${source}]`).addEventListener("change", (event) => {
        this.shown[source] = event.target.checked;
        this.filtered();
      });
    const slider = find("input[type=range]");
    slider.max = this.tasks.length - 1;
    slider.value = slider.max;
    slider.hidden = this.tasks.length < 2;
    slider.addEventListener("input", () => {
      this.look(-1);
      this.choose(Number(slider.value));
      slider.setAttribute("aria-valuetext", this.task.title);
    });
    for (const [name, factor] of [["in", STEP], ["out", 1 / STEP], ["reset", 0]])
      find(`[data-zoom=${name}]`).addEventListener("click", () => this.zoom(factor));
    for (const [name, value] of [["all", 1], ["none", 0]])
      find(`[data-classes=${name}]`).addEventListener("click", () => {
        this.shown.classes.fill(value);
        this.labels.forEach(({ box }) => (box.checked = Boolean(value)));
        this.filtered();
      });
    const list = find(".classes"), used = new Set(this.tasks.flatMap((task) => [...task.classes]));
    this.labels = [...used].sort((a, b) => a - b).map((c) => this.label(c));
    list.append(...this.labels.map(({ label }) => label));
    list.classList.toggle("many", this.labels.length > FEW);
  }

  label(c) {
    const [label, box, swatch] = ["label", "input", "i"].map((tag) => document.createElement(tag));
    box.type = "checkbox";
    box.checked = true;
    box.addEventListener("change", () => {
      this.shown.classes[c] = box.checked ? 1 : 0;
      this.filtered();
    });
    const heat = (hot) => () => (this.hot = hot, this.redraw());
    label.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && heat(c)());
    label.addEventListener("pointerleave", heat(-1));
    box.addEventListener("focus", () => box.matches(":focus-visible") && heat(c)());
    box.addEventListener("blur", heat(-1));
    swatch.style.color = this.colours[c];
    label.append(box, swatch, this.names[c]); // as text, whatever the name is
    return { label, box, c };
  }

  filtered() {
    if (this.chosen >= 0 && !this.isShown(this.chosen)) this.look(-1);
    this.redraw();
  }
}

function decode(task) {
  for (const name of ["points", "classes", "depths", "cells"]) {
    if (task[name] === null) continue;
    const bytes = Uint8Array.from(atob(task[name]), (character) => character.charCodeAt(0));
    task[name] = new Uint16Array(bytes.buffer); // all computers that show web pages are little-endian
  }
}

// "#0072b2" or "rgb(0, 114, 178)" as three numbers.
function rgb(colour) {
  if (colour.startsWith("#")) return [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
  return colour.match(/[\d.]+/g).slice(0, 3).map(Number);
}

// Of each class the point nearest to the medians of its coordinates: real ones, where there are any.
function middles(task) {
  const members = new Map(), median = (values) => values.sort((a, b) => a - b)[values.length >> 1];
  task.classes.forEach((c, i) => {
    if (!members.has(c)) members.set(c, { real: i < task.real, points: [] });
    const group = members.get(c);
    if (group.real === i < task.real) group.points.push(i);
  });
  const of = (i, axis) => task.points[2 * i + axis];
  return new Map([...members].map(([c, { points }]) => {
    const [x, y] = [0, 1].map((axis) => median(points.map((i) => of(i, axis))));
    const far = (i) => (of(i, 0) - x) ** 2 + (of(i, 1) - y) ** 2;
    return [c, points.reduce((best, i) => (far(i) < far(best) ? i : best))];
  }));
}

for (const figure of document.querySelectorAll("figure[data-scatter]")) new Scatter(figure);
