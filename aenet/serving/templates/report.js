"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { photos, tiles, map } = data;
  const by = (id) => document.getElementById(id);
  const el = (name, attributes = {}, ...children) => {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) key === "class" ? (node.className = value) : node.setAttribute(key, value);
    node.append(...children);
    return node;
  };
  const metres = (value) => (value >= 10000 ? (value / 1000).toFixed(0) + " km" : value >= 1000 ? (value / 1000).toFixed(1) + " km"
    : value >= 20 ? value.toFixed(0) + " m" : value.toFixed(1) + " m");
  const grade = (photo) => (photo.reason !== undefined ? "bad" : photo.error === undefined ? "" : photo.error <= data.near ? "near"
    : photo.error <= data.far ? "mid" : "far");
  const known = photos.some((photo) => photo.error !== undefined);
  const placed = photos.filter((photo) => photo.x !== undefined);

  // Colours. Grades are Okabe and Ito's and differ in shape as well; ramps are cividis: both read without red or green.
  const GRADES = { near: ["#0072b2", `up to ${data.near} m`], mid: ["#e69f00", `up to ${data.far} m`], far: ["#d55e00", "farther"] };
  const RAMP = [[0, 34, 78], [53, 69, 108], [102, 105, 112], [148, 142, 119], [200, 184, 102], [254, 232, 56]];
  const ramp = (t) => {
    const at = Math.max(0, Math.min(0.9999, t)) * (RAMP.length - 1), low = Math.floor(at), part = at - low;
    return `rgb(${RAMP[low].map((value, i) => Math.round(value + (RAMP[low + 1][i] - value) * part)).join(",")})`;
  };
  const ranges = {};
  for (const field of ["score", "margin"]) {
    const values = placed.map((photo) => photo[field]).filter((value) => value !== undefined).sort((a, b) => a - b);
    if (values.length) ranges[field] = [values[Math.floor(values.length * 0.02)], values[Math.ceil(values.length * 0.98) - 1]];
  }
  const colourBy = by("colour"), lines = by("lines");
  const choices = known ? ["error", "score", "margin"] : ["margin", "score"];
  for (const choice of choices) if (choice === "error" || ranges[choice]) colourBy.append(el("option", {}, choice));
  lines.checked = known && placed.length <= 3000;
  by("lines-label").hidden = !known;
  const colour = (photo) => {
    if (colourBy.value === "error") return photo.error === undefined ? "#888" : GRADES[grade(photo)][0];
    const [low, high] = ranges[colourBy.value], value = photo[colourBy.value];
    return value === undefined ? "#888" : ramp((value - low) / (high - low || 1));
  };
  const shape = (photo) => (colourBy.value === "error" ? grade(photo) : "near");

  // The map: world coordinates are pixels of the backdrop.
  const canvas = by("map"), pen = canvas.getContext("2d"), backdrop = by("backdrop");
  const view = { scale: 1, x: 0, y: 0 };
  let selected = null, size = [0, 0], waiting = false;
  const toScreen = (x, y) => [x * view.scale + view.x, y * view.scale + view.y];
  const fitScale = () => Math.min(size[0] / map.width, size[1] / map.height);
  const fit = () => {
    view.scale = fitScale();
    view.x = (size[0] - map.width * view.scale) / 2;
    view.y = (size[1] - map.height * view.scale) / 2;
    redraw();
  };
  const zoom = (factor, x = size[0] / 2, y = size[1] / 2) => {
    const scale = Math.max(fitScale() * 0.8, Math.min(fitScale() * 60, view.scale * factor));
    view.x = x - ((x - view.x) * scale) / view.scale;
    view.y = y - ((y - view.y) * scale) / view.scale;
    view.scale = scale;
    redraw();
  };
  const marker = (target, kind, x, y, r) => {
    target.beginPath();
    if (kind === "mid") { target.moveTo(x, y - r * 1.25); target.lineTo(x + r * 1.25, y); target.lineTo(x, y + r * 1.25); target.lineTo(x - r * 1.25, y); target.closePath(); }
    else if (kind === "far") { target.moveTo(x, y - r * 1.3); target.lineTo(x + r * 1.25, y + r); target.lineTo(x - r * 1.25, y + r); target.closePath(); }
    else target.arc(x, y, r, 0, 2 * Math.PI);
  };
  const link = (photo, strong) => {
    const [x, y] = toScreen(photo.x, photo.y), [tx, ty] = toScreen(photo.tx, photo.ty);
    // Lines across the whole map are many and say little: they stay faint until their photo is selected.
    const faint = !strong && grade(photo) === "far";
    const strokes = faint ? [["rgba(255,255,255,.3)", 1]] : strong ? [["rgba(0,0,0,.6)", 4.5], ["#fff", 2.2]]
      : [["rgba(0,0,0,.55)", 2.6], ["rgba(255,255,255,.85)", 1.1]];
    for (const [style, width] of strokes) {
      pen.strokeStyle = style; pen.lineWidth = width;
      pen.beginPath(); pen.moveTo(x, y); pen.lineTo(tx, ty); pen.stroke();
    }
    pen.beginPath(); pen.arc(tx, ty, strong ? 5 : 2.4, 0, 2 * Math.PI);
    pen.fillStyle = "#fff"; pen.strokeStyle = "#000"; pen.lineWidth = 1; pen.fill(); pen.stroke();
  };
  const draw = () => {
    waiting = false;
    const ratio = window.devicePixelRatio || 1, style = getComputedStyle(document.documentElement);
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, ...size);
    const [left, top] = toScreen(0, 0), width = map.width * view.scale, height = map.height * view.scale;
    if (map.picture) { pen.imageSmoothingEnabled = view.scale < 3; pen.drawImage(backdrop, left, top, width, height); }
    else { pen.strokeStyle = style.getPropertyValue("--line"); pen.strokeRect(left, top, width, height); }
    if (lines.checked) for (const photo of placed) if (photo.tx !== undefined && photo !== selected) link(photo, false);
    const radius = placed.length > 2000 ? 3.2 : placed.length > 400 ? 4.4 : 5.6;
    pen.lineWidth = 1.2;
    for (const photo of placed) {
      const [x, y] = toScreen(photo.x, photo.y);
      if (x < -9 || y < -9 || x > size[0] + 9 || y > size[1] + 9) continue;
      marker(pen, shape(photo), x, y, radius);
      pen.fillStyle = colour(photo); pen.strokeStyle = "#fff"; pen.fill(); pen.stroke();
    }
    if (selected && selected.x !== undefined) drawSelected();
    drawScale();
  };
  const drawSelected = () => {
    const side = (map.tile / map.metres) * view.scale;
    pen.font = "600 12px system-ui, sans-serif"; pen.textAlign = "center"; pen.textBaseline = "middle";
    selected.tiles.map((number) => tiles[number]).reverse().forEach((tile, index, all) => {
      const rank = all.length - index, [x, y] = toScreen(tile.x, tile.y);
      pen.lineWidth = rank === 1 ? 3 : 1.5; pen.strokeStyle = rank === 1 ? "#fff" : "rgba(255,255,255,.75)";
      pen.strokeRect(x - side / 2, y - side / 2, side, side);
      pen.fillStyle = "rgba(0,0,0,.7)"; pen.beginPath(); pen.arc(x - side / 2, y - side / 2, 9, 0, 2 * Math.PI); pen.fill();
      pen.fillStyle = "#fff"; pen.fillText(String(rank), x - side / 2, y - side / 2 + 0.5);
    });
    if (selected.tx !== undefined) link(selected, true);
    const [x, y] = toScreen(selected.x, selected.y);
    marker(pen, shape(selected), x, y, 8); pen.fillStyle = colour(selected); pen.fill();
    pen.lineWidth = 2.5; pen.strokeStyle = "#fff"; pen.stroke(); pen.lineWidth = 1; pen.strokeStyle = "#000";
    marker(pen, shape(selected), x, y, 9.5); pen.stroke();
  };
  const drawScale = () => {
    const goal = 110 * map.metres / view.scale, power = 10 ** Math.floor(Math.log10(goal));
    const length = [5, 2, 1].map((step) => step * power).find((step) => step <= goal);
    by("scale-bar").style.width = (length * view.scale) / map.metres + "px";
    by("scale-text").textContent = length >= 1000 ? length / 1000 + " km" : length + " m";
  };
  const redraw = () => { if (!waiting) { waiting = true; requestAnimationFrame(draw); } };
  const drawKey = () => {
    const key = by("key");
    key.replaceChildren();
    if (colourBy.value !== "error") {
      const bar = el("div", { class: "ramp" });
      bar.style.background = `linear-gradient(90deg, ${[0, 0.2, 0.4, 0.6, 0.8, 1].map(ramp).join(",")})`;
      const ends = ranges[colourBy.value].map((value) => el("span", {}, value.toFixed(2)));
      key.append(bar, el("div", { class: "ends" }, ...ends));
      return;
    }
    for (const [name, [fill, text]] of Object.entries(GRADES)) {
      const icon = el("canvas", { width: 36, height: 36 }), ink = icon.getContext("2d"), count = placed.filter((photo) => grade(photo) === name).length;
      ink.scale(2, 2); marker(ink, name, 9, 9, 5); ink.fillStyle = fill; ink.strokeStyle = "#fff"; ink.fill(); ink.stroke();
      key.append(el("div", {}, icon, `${text} (${count.toLocaleString("en")})`));
    }
  };

  // One photo: its picture, its best tiles, its numbers.
  const picture = (photo, alt) => (photo.picture ? el("img", { class: "photo", src: photo.picture, alt }) : el("div", { class: "photo none" },
    photo.reason !== undefined ? "not readable as a panorama" : "picture not included"));
  const tileCards = (photo) => photo.tiles.map((number, rank) => {
    const tile = tiles[number], card = el("figure", { class: "tile" });
    card.append(tile.picture ? el("img", { src: tile.picture, alt: `Tile ${tile.id}` }) : el("div", { class: "none" }, `#${rank + 1}`));
    card.append(el("b", {}, photo.scores[rank].toFixed(3)));
    if (photo.tx !== undefined) {
      const away = Math.hypot(tile.x - photo.tx, tile.y - photo.ty) * map.metres;
      if (away <= data.near) card.classList.add("right");
      card.append(el("span", {}, metres(away)));
    }
    card.title = `${rank + 1}. tile ${tile.id}`;
    return card;
  });
  const badge = (photo) => el("span", { class: "badge " + grade(photo) }, photo.reason !== undefined ? "error" : photo.error === undefined ? "placed"
    : metres(photo.error) + " off");
  const show = (photo, centre) => {
    selected = photo;
    const rows = el("dl", { class: "rows" }), row = (name, value) => rows.append(el("dt", {}, name), el("dd", {}, value));
    const detail = by("detail"), at = photos.indexOf(photo), step = (text, to) => {
      const button = el("button", { type: "button" }, text);
      button.disabled = !photos[to];
      button.addEventListener("click", () => show(photos[to], true));
      return button;
    };
    if (photo.x !== undefined) {
      row("Place", `${photo.lat.toFixed(6)}, ${photo.lon.toFixed(6)}`);
      row("Score", photo.score.toFixed(4));
      if (photo.margin !== undefined) row("Margin to another place", photo.margin.toFixed(4));
      if (photo.error !== undefined) row("Error", metres(photo.error));
      const here = placed.filter((other) => other.tiles[0] === photo.tiles[0]).length;
      if (here > 1) row("Photos on this tile", String(here));
    } else row("Reason", photo.reason);
    detail.replaceChildren(el("h2", {}, photo.name), badge(photo), picture(photo, photo.name));
    if (photo.picture) detail.append(el("div", { class: "compass" }, ...["S", "W", "N", "E", "S"].map((side) => el("span", {}, side))));
    detail.append(rows);
    if (photo.tiles) detail.append(el("div", { class: "tiles" }, ...tileCards(photo)));
    detail.append(el("div", { class: "steps" }, step("Previous", at - 1), step("Next", at + 1)));
    if (centre && photo.x !== undefined) {
      const [x, y] = toScreen(photo.x, photo.y);
      if (x < 40 || y < 40 || x > size[0] - 40 || y > size[1] - 40) { view.x += size[0] / 2 - x; view.y += size[1] / 2 - y; }
    }
    for (const strip of document.querySelectorAll(".strip")) strip.setAttribute("aria-current", String(photos[Number(strip.dataset.at)] === photo));
    redraw();
  };

  // The list, a page at a time.
  const PAGE = 20;
  let page = 0, rows = [];
  const FILTERS = { all: () => true, placed: (photo) => photo.x !== undefined, errors: (photo) => photo.reason !== undefined,
    ...(known ? { ["more than " + data.near + " m off"]: (photo) => photo.error > data.near } : {}) };
  const least = (field) => (a, b) => (a[field] ?? Infinity) - (b[field] ?? Infinity);
  const ORDERS = { "as given": null, ...(known ? { "largest error first": (a, b) => (b.error ?? -1) - (a.error ?? -1) } : {}),
    "lowest margin first": least("margin"), "lowest score first": least("score") };
  for (const name of Object.keys(FILTERS)) by("filter").append(el("option", {}, name));
  for (const name of Object.keys(ORDERS)) by("order").append(el("option", {}, name));
  const list = (restart) => {
    if (restart) page = 0;
    const word = by("find").value.toLowerCase(), order = ORDERS[by("order").value];
    rows = photos.filter((photo) => FILTERS[by("filter").value](photo) && photo.name.toLowerCase().includes(word));
    if (order) rows.sort(order);
    const pages = Math.max(1, Math.ceil(rows.length / PAGE));
    page = Math.max(0, Math.min(page, pages - 1));
    by("count").textContent = `${rows.length.toLocaleString("en")} of ${photos.length.toLocaleString("en")}`;
    by("page").textContent = `page ${page + 1} of ${pages}`;
    by("previous").disabled = page === 0;
    by("next").disabled = page >= pages - 1;
    by("list").replaceChildren(...rows.slice(page * PAGE, (page + 1) * PAGE).map((photo) => {
      const what = el("div", { class: "what" }, el("b", {}, photo.name), badge(photo));
      what.append(el("span", {}, photo.reason !== undefined ? photo.reason
        : `score ${photo.score.toFixed(3)}` + (photo.margin === undefined ? "" : `, margin ${photo.margin.toFixed(3)}`)));
      const strip = el("button", { type: "button", class: "strip", "data-at": photos.indexOf(photo), "aria-current": photo === selected },
        picture(photo, ""), what, el("div", { class: "tiles" }, ...(photo.tiles ? tileCards(photo) : [])));
      strip.addEventListener("click", () => { show(photo, true); canvas.scrollIntoView({ block: "nearest", behavior: "smooth" }); });
      return el("li", {}, strip);
    }));
  };
  for (const id of ["filter", "order"]) by(id).addEventListener("change", () => list(true));
  by("find").addEventListener("input", () => list(true));
  for (const [id, move] of [["previous", -1], ["next", 1]])
    by(id).addEventListener("click", () => { page += move; list(); by("photos").scrollIntoView(); });

  // Hands on the map.
  const hits = (x, y) => placed.map((photo) => [Math.hypot(...toScreen(photo.x, photo.y).map((value, i) => value - [x, y][i])), photo])
    .filter(([away]) => away < 12).sort((a, b) => a[0] - b[0]).map(([, photo]) => photo);
  let held = null, moved = false;
  const place = (event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
  canvas.addEventListener("pointerdown", (event) => { held = place(event); moved = false; canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = place(event);
    if (!held) { canvas.style.cursor = hits(x, y).length ? "pointer" : ""; return; }
    if (Math.hypot(x - held[0], y - held[1]) < 3 && !moved) return;
    moved = true; view.x += x - held[0]; view.y += y - held[1]; held = [x, y]; redraw();
  });
  canvas.addEventListener("pointerup", (event) => {
    // Several photos may share a tile's centre: each click takes the next of them.
    const found = moved ? [] : hits(...place(event));
    if (found.length) show(found[(found.indexOf(selected) + 1) % found.length]);
    held = null;
  });
  canvas.addEventListener("pointercancel", () => { held = null; });
  canvas.addEventListener("wheel", (event) => { event.preventDefault(); zoom(Math.exp(-event.deltaY * 0.0015), ...place(event)); }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const pan = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] }[event.key];
    const step = { n: 1, p: -1 }[event.key.toLowerCase()];
    if (pan) { view.x += pan[0]; view.y += pan[1]; redraw(); }
    else if (event.key === "+" || event.key === "=") zoom(1.4);
    else if (event.key === "-") zoom(1 / 1.4);
    else if (event.key === "0") fit();
    else if (step && !event.ctrlKey && !event.metaKey) {
      const next = selected ? placed.indexOf(selected) + step : 0;
      if (placed[next]) show(placed[next], true);
    } else return;
    event.preventDefault();
  });
  by("zoom-in").addEventListener("click", () => zoom(1.6));
  by("zoom-out").addEventListener("click", () => zoom(1 / 1.6));
  by("zoom-fit").addEventListener("click", fit);
  colourBy.addEventListener("change", () => { drawKey(); redraw(); });
  lines.addEventListener("change", redraw);
  new ResizeObserver(() => {
    const first = size[0] === 0, ratio = window.devicePixelRatio || 1;
    size = [canvas.clientWidth, canvas.clientHeight];
    canvas.width = size[0] * ratio; canvas.height = size[1] * ratio;
    first ? fit() : redraw();
  }).observe(canvas);
  backdrop.addEventListener("load", redraw);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  drawKey();
  list(true);
  const pictured = placed.filter((photo) => photo.picture);
  if (placed.length) show((pictured.length ? pictured : placed).reduce((best, photo) => ((photo.margin ?? -1) > (best.margin ?? -1) ? photo : best)));
  document.body.dataset.ready = String(photos.length);
})();
