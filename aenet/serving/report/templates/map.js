
// The map. World coordinates are pixels of the backdrop.
const canvas = by("map"), pen = canvas.getContext("2d"), backdrop = by("backdrop"), tip = by("tip");
const view = { scale: 1, x: 0, y: 0 };
const colourBy = by("colour"), lines = by("lines");
let size = [0, 0], waiting = false, hovered = null;
const ratio = () => window.devicePixelRatio || 1;
const toScreen = (x, y) => [x * view.scale + view.x, y * view.scale + view.y];
const EDGE = 14; // pixels around the whole map: markers at its edge are not cut
const fitScale = () => Math.min((size[0] - 2 * EDGE) / map.width, (size[1] - 2 * EDGE) / map.height);
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
const bringIn = (photo) => {
  if (photo.x === undefined) return;
  const [x, y] = toScreen(photo.x, photo.y);
  if (x < 40 || y < 40 || x > size[0] - 40 || y > size[1] - 40) { view.x += size[0] / 2 - x; view.y += size[1] / 2 - y; }
};

// Ramps are cividis (Nunez et al. 2018): it reads without red or green.
const RAMP = [[0, 34, 78], [53, 69, 108], [102, 105, 112], [148, 142, 119], [200, 184, 102], [254, 232, 56]], STEPS = 24;
const ramp = (t) => {
  const at = Math.max(0, Math.min(0.9999, t)) * (RAMP.length - 1), low = Math.floor(at), part = at - low;
  return `rgb(${RAMP[low].map((value, i) => Math.round(value + (RAMP[low + 1][i] - value) * part)).join(",")})`;
};
const ranges = {};
for (const field of ["confidence", "score", "margin"]) {
  const values = photos.map((photo) => photo[field]).filter((value) => value !== undefined).sort((a, b) => a - b);
  if (values.length) ranges[field] = [values[Math.floor(values.length * 0.02)], values[Math.ceil(values.length * 0.98) - 1]];
}
if (ranges.confidence) ranges.confidence = [0, 1];
for (const choice of ["result", ...Object.keys(ranges)]) colourBy.append(el("option", {}, choice));
lines.checked = known && photos.length <= 3000;
by("lines-label").hidden = !known;

// A marker is drawn once for each shape and colour and then stamped: ten thousand stamps take milliseconds.
const stamps = new Map();
const stamp = (photo, radius) => {
  let colour = GRADES[photo.grade].colour, name = photo.grade;
  if (colourBy.value !== "result") {
    const [low, high] = ranges[colourBy.value], value = photo[colourBy.value];
    const step = value === undefined ? -1 : Math.round(STEPS * Math.max(0, Math.min(1, (value - low) / (high - low || 1))));
    colour = step < 0 ? "#888" : ramp(step / STEPS);
    name += step;
  }
  name += `/${radius}/${ratio()}`;
  if (!stamps.has(name)) {
    const side = Math.ceil((radius * 1.4 + 2) * 2 * ratio()), sheet = el("canvas", { width: side, height: side }), ink = sheet.getContext("2d");
    ink.translate(side / 2, side / 2);
    ink.scale(radius * ratio(), radius * ratio());
    const path = new Path2D(GRADES[photo.grade].shape);
    ink.lineJoin = "round"; ink.lineWidth = 2.6 / radius; ink.strokeStyle = "#fff"; ink.stroke(path);
    ink.lineWidth = 0.5 / radius; ink.strokeStyle = "#000"; ink.stroke(path);
    ink.fillStyle = colour; ink.fill(path, "evenodd");
    stamps.set(name, sheet);
  }
  return stamps.get(name);
};
const put = (photo, radius) => {
  const [x, y] = toScreen(photo.x, photo.y);
  if (x < -20 || y < -20 || x > size[0] + 20 || y > size[1] + 20) return;
  const sheet = stamp(photo, radius), side = sheet.width / ratio();
  pen.drawImage(sheet, x - side / 2, y - side / 2, side, side);
};
const drawLines = () => {
  // Lines across the whole map are many and say little: they stay faint until their photo is opened. Thousands get
  // neither casing nor dots, so that moving the map stays smooth.
  const plain = state.rows.length > 3000;
  for (const faint of [true, false]) {
    const path = new Path2D(), dots = new Path2D();
    for (const photo of state.rows) {
      if (photo.tx === undefined || photo.x === undefined || (photo.error > data.far) !== faint) continue;
      const [x, y] = toScreen(photo.x, photo.y), [tx, ty] = toScreen(photo.tx, photo.ty);
      path.moveTo(x, y); path.lineTo(tx, ty);
      if (plain) continue;
      dots.moveTo(tx + 2.4, ty); dots.arc(tx, ty, 2.4, 0, 2 * Math.PI);
    }
    if (!faint && !plain) { pen.strokeStyle = "rgba(0,0,0,.55)"; pen.lineWidth = 2.6; pen.stroke(path); }
    pen.strokeStyle = faint ? "rgba(255,255,255,.25)" : "rgba(255,255,255,.85)"; pen.lineWidth = 1.1; pen.stroke(path);
    if (plain) continue;
    pen.fillStyle = "#fff"; pen.strokeStyle = "#000"; pen.lineWidth = 0.8; pen.fill(dots); pen.stroke(dots);
  }
};
const twice = (path, width, dash = []) => {
  pen.setLineDash([]); pen.strokeStyle = "rgba(0,0,0,.65)"; pen.lineWidth = width + 2.4; pen.stroke(path);
  pen.setLineDash(dash); pen.strokeStyle = "#fff"; pen.lineWidth = width; pen.stroke(path);
  pen.setLineDash([]);
};
const drawOpened = (photo) => {
  const side = (map.tile / map.metres) * view.scale, [x, y] = toScreen(photo.x ?? 0, photo.y ?? 0);
  pen.font = "600 12px system-ui, sans-serif"; pen.textAlign = "center"; pen.textBaseline = "middle";
  (photo.tiles ?? []).map((number) => tiles[number]).reverse().forEach((tile, index, all) => {
    const rank = all.length - index, [cx, cy] = toScreen(tile.x, tile.y);
    pen.lineWidth = rank === 1 ? 3 : 1.5; pen.strokeStyle = rank === 1 ? "#fff" : "rgba(255,255,255,.75)";
    pen.strokeRect(cx - side / 2, cy - side / 2, side, side);
    pen.fillStyle = "rgba(0,0,0,.7)"; pen.beginPath(); pen.arc(cx - side / 2, cy - side / 2, 9, 0, 2 * Math.PI); pen.fill();
    pen.fillStyle = "#fff"; pen.fillText(String(rank), cx - side / 2, cy - side / 2 + 0.5);
  });
  if (photo.x === undefined) return;
  if (photo.radius !== undefined) {
    const circle = new Path2D(), r = (photo.radius / map.metres) * view.scale;
    circle.arc(x, y, r, 0, 2 * Math.PI);
    pen.fillStyle = "rgba(255,255,255,.12)"; pen.fill(circle);
    twice(circle, 1.6, [6, 4]);
  }
  if (photo.heading !== undefined) {
    const arrow = new Path2D(), a = (photo.heading * Math.PI) / 180, [dx, dy] = [Math.sin(a), -Math.cos(a)], far = 40;
    const [hx, hy] = [x + dx * far, y + dy * far];
    arrow.moveTo(x + dx * 11, y + dy * 11); arrow.lineTo(hx, hy);
    for (const turn of [1, -1]) { arrow.moveTo(hx, hy); arrow.lineTo(hx - dx * 9 + turn * dy * 7, hy - dy * 9 - turn * dx * 7); }
    twice(arrow, 2.4);
  }
  if (photo.tx !== undefined) {
    const link = new Path2D(), [tx, ty] = toScreen(photo.tx, photo.ty);
    link.moveTo(x, y); link.lineTo(tx, ty);
    twice(link, 2);
    pen.beginPath(); pen.arc(tx, ty, 5, 0, 2 * Math.PI); pen.fillStyle = "#fff"; pen.strokeStyle = "#000"; pen.lineWidth = 1.2; pen.fill(); pen.stroke();
  }
};
const ring = (photo, radius) => { const path = new Path2D(); path.arc(...toScreen(photo.x, photo.y), radius, 0, 2 * Math.PI); twice(path, 2); };
const draw = () => {
  waiting = false;
  pen.setTransform(ratio(), 0, 0, ratio(), 0, 0);
  pen.clearRect(0, 0, ...size);
  const [left, top] = toScreen(0, 0), width = map.width * view.scale, height = map.height * view.scale;
  if (map.picture) { pen.imageSmoothingEnabled = view.scale < 3; if (backdrop.complete) pen.drawImage(backdrop, left, top, width, height); }
  else { pen.lineWidth = 1; pen.strokeStyle = getComputedStyle(document.documentElement).getPropertyValue("--line"); pen.strokeRect(left, top, width, height); }
  pen.imageSmoothingEnabled = true;
  if (lines.checked) drawLines();
  const narrow = size[0] < 500 ? 0.75 : 1; // a telephone's map is a third as wide
  const radius = narrow * (state.rows.length > 2000 ? 3.6 : state.rows.length > 400 ? 4.6 : 5.8);
  for (const photo of state.rows) if (photo.x !== undefined) put(photo, radius);
  if (state.opened) drawOpened(state.opened);
  for (const [photo, r] of [[hovered, 10], [state.active, 12], [state.opened, 12]]) if (photo && photo.x !== undefined) { put(photo, r - 4); ring(photo, r); }
  drawScale();
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
  if (colourBy.value === "result") {
    const there = Object.keys(GRADES).filter((grade) => grade !== "error" && photos.some((photo) => photo.grade === grade && photo.x !== undefined));
    key.replaceChildren(...there.map((grade) => el("div", {}, icon(grade), GRADES[grade].text)));
    return;
  }
  const bar = el("div", { class: "ramp" });
  bar.style.background = `linear-gradient(90deg, ${[0, 0.2, 0.4, 0.6, 0.8, 1].map(ramp).join(",")})`;
  key.replaceChildren(bar, el("div", { class: "ends" }, ...ranges[colourBy.value].map((value) => el("span", {}, value.toFixed(2)))));
};

// Hands on the map.
const hits = (x, y) => {
  const found = [], wx = (x - view.x) / view.scale, wy = (y - view.y) / view.scale, reach = (12 / view.scale) ** 2;
  for (const photo of state.rows) {
    const away = (photo.x - wx) ** 2 + (photo.y - wy) ** 2;
    if (away < reach) found.push([away, photo]);
  }
  return found.sort((a, b) => a[0] - b[0] || a[1].at - b[1].at).map(([, photo]) => photo);
};
let held = null, moved = false;
const fingers = new Map(); // two of them zoom
const pinch = () => {
  const [a, b] = [...fingers.values()];
  return { apart: Math.max(1, Math.hypot(a[0] - b[0], a[1] - b[1])), middle: [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2] };
};
const place = (event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
const hover = (found, x, y) => {
  canvas.style.cursor = found.length ? "pointer" : "";
  if (hovered !== (found[0] ?? null)) { hovered = found[0] ?? null; redraw(); }
  tip.hidden = !found.length;
  if (!found.length) return;
  tip.textContent = `${found[0].name}: ${verdict(found[0])}` + (found.length > 1 ? ` (and ${many(found.length - 1)} more here)` : "");
  tip.style.left = Math.max(4, Math.min(x + 14, size[0] - tip.offsetWidth - 4)) + "px";
  tip.style.top = (y > size[1] - 60 ? y - tip.offsetHeight - 10 : y + 16) + "px";
};
canvas.addEventListener("pointerdown", (event) => {
  held = place(event);
  fingers.set(event.pointerId, held);
  moved = fingers.size > 1;
  canvas.setPointerCapture(event.pointerId);
});
canvas.addEventListener("pointermove", (event) => {
  const [x, y] = place(event);
  if (fingers.size > 1 && fingers.has(event.pointerId)) {
    const before = pinch();
    fingers.set(event.pointerId, [x, y]);
    const after = pinch();
    view.x += after.middle[0] - before.middle[0]; view.y += after.middle[1] - before.middle[1];
    zoom(after.apart / before.apart, ...after.middle);
    return;
  }
  if (!held) { hover(hits(x, y), x, y); return; }
  if (Math.hypot(x - held[0], y - held[1]) < 3 && !moved) return;
  moved = true; view.x += x - held[0]; view.y += y - held[1]; held = [x, y]; redraw();
});
canvas.addEventListener("pointerup", (event) => {
  // Several photos may share a tile's centre: each click takes the next of them.
  const found = moved ? [] : hits(...place(event));
  fingers.delete(event.pointerId);
  held = fingers.size ? [...fingers.values()][0] : null; // one finger stays: the map follows it
  if (held) moved = true;
  if (found.length) open(found[(found.indexOf(state.opened) + 1) % found.length]);
});
canvas.addEventListener("pointercancel", (event) => { fingers.delete(event.pointerId); held = null; });
canvas.addEventListener("pointerleave", () => hover([], 0, 0));
canvas.addEventListener("wheel", (event) => { event.preventDefault(); zoom(Math.exp(-event.deltaY * 0.0015), ...place(event)); }, { passive: false });
