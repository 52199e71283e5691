
// The strip of one photo: what the model sees of it, its best tiles, its numbers.
const SIDES = ["S", "W", "N", "E", "S"];
const overlay = (photo) => {
  // 360 units across; shade what the photo does not cover, point at where its middle looks.
  const sheet = svg("svg", { viewBox: "0 0 360 90", preserveAspectRatio: "none", class: "overlay", "aria-hidden": "true" });
  if (photo.cover) {
    const [start, width] = photo.cover, stop = start + width, shade = (from, to) => to > from
      && sheet.append(svg("rect", { class: "shade", x: from, width: to - from, y: 0, height: 90 }));
    if (stop <= 360) { shade(0, start); shade(stop, 360); } else shade(stop - 360, start);
    for (const edge of [start, stop % 360]) sheet.append(svg("line", { class: "edge", x1: edge, x2: edge, y1: 0, y2: 90 }));
  }
  return sheet;
};
const view360 = (photo) => {
  if (!photo.picture) return el("div", { class: "photo none" }, photo.grade === "error" ? "no picture: not readable as asked" : "picture not included");
  const covers = photo.cover ? ` It covers ${Math.round(photo.cover[1])} of 360 degrees.` : "";
  const frame = el("div", { class: "frame" }, el("img", { src: photo.picture, alt: `What the model sees of ${photo.name}.${covers}` }), overlay(photo));
  const figure = el("figure", { class: "photo" }, frame);
  if (!photo.north) { figure.append(el("div", { class: "compass" }, el("span", {}, "north unknown: the middle of the photo is in the centre"))); return figure; }
  figure.append(el("div", { class: "compass" }, ...SIDES.map((side) => el("span", {}, side))));
  if (photo.heading !== undefined) {
    const arrow = svg("svg", { viewBox: "-6 0 12 14", class: "arrow", "aria-hidden": "true" }, svg("path", { d: "M0 14L-5 4H-2V0H2V4H5Z" }));
    arrow.style.left = (((photo.heading + 180) % 360) / 360) * 100 + "%";
    frame.append(arrow);
  }
  return figure;
};
const tileCard = (photo, number, rank) => {
  const tile = tiles[number], card = el("figure", { class: "tile" });
  card.append(tile.picture ? el("img", { src: tile.picture, alt: `Tile ${tile.id}` }) : el("div", { class: "none" }, `#${rank + 1}`));
  const words = el("figcaption", {}, el("b", {}, `${rank + 1}. ${photo.scores[rank].toFixed(3)}`));
  if (photo.tx !== undefined) {
    const away = Math.hypot(tile.x - photo.tx, tile.y - photo.ty) * map.metres;
    if (away <= data.near) card.classList.add("right");
    words.append(el("span", {}, `${metres(away)} off` + (away <= data.near ? " ✓" : "")));
  }
  card.append(words);
  card.title = `${rank + 1}. tile ${tile.id}`;
  return card;
};
const numbers = (photo) => {
  const list = el("dl", { class: "facts" }), row = (name, value) => list.append(el("dt", {}, name), el("dd", {}, value));
  if (photo.reason) row(photo.grade === "abstain" ? "Abstained" : "Reason", photo.reason);
  if (photo.lat !== undefined) row(photo.grade === "abstain" ? "Best guess" : "Place", `${photo.lat.toFixed(6)}, ${photo.lon.toFixed(6)}`);
  if (photo.error !== undefined) row("Error", metres(photo.error) + (data.floor ? ` (floor: ${metres(data.floor)} median)` : " (no floor here)"));
  if (photo.confidence !== undefined) row(`Confidence within ${data.near} m`, percent(photo.confidence));
  if (photo.radius !== undefined) row("Error radius, 90 %", metres(photo.radius));
  if (photo.spread !== undefined) row("Spread of the best tiles", metres(photo.spread));
  if (photo.heading !== undefined) row(photo.north ? "Heading (arrow)" : "Heading", `${photo.heading.toFixed(0)}°` + (photo.from ? ` (${photo.from})` : ""));
  if (photo.told !== undefined) {
    const off = Math.abs(((photo.heading - photo.told + 540) % 360) - 180);
    row("Heading error", `${off.toFixed(1)}° (told: ${photo.told.toFixed(0)}°)`);
  }
  if (photo.score !== undefined) row("Score", photo.score.toFixed(4));
  if (photo.margin !== undefined) row("Margin to another place", photo.margin.toFixed(4));
  if (photo.tiles) {
    const here = photos.filter((other) => other.tiles && other.tiles[0] === photo.tiles[0]).length;
    if (here > 1) row("Photos on this tile", many(here));
  }
  if (photo.notes) row("Notes", photo.notes);
  return list;
};
const strip = by("strip");
const open = (photo, quiet = false) => {
  state.opened = state.active = photo;
  const at = state.rows.indexOf(photo), button = (text, to, label) => {
    const node = el("button", { type: "button", "aria-label": label }, text);
    node.disabled = to === undefined;
    node.addEventListener("click", () => { to === null ? close() : open(to); });
    return node;
  };
  const head = el("div", { class: "title" }, icon(photo.grade), el("h2", { id: "strip-name" }, photo.name), el("span", { class: "badge" }, verdict(photo)),
    el("div", { class: "steps" }, button("←", at > 0 ? state.rows[at - 1] : undefined, "Previous photo"),
      button("→", at >= 0 ? state.rows[at + 1] : undefined, "Next photo"), button("Close", null, "Close")));
  const body = el("div", { class: "body" }, el("div", {}, view360(photo)), numbers(photo));
  if (photo.tiles) body.append(el("div", { class: "tiles" }, ...photo.tiles.map((number, rank) => tileCard(photo, number, rank))));
  const inside = strip.contains(document.activeElement) && document.activeElement.getAttribute("aria-label");
  strip.replaceChildren(head, body);
  strip.hidden = false;
  // The button that was pressed is a new one now: the focus stays where it was.
  if (inside) (strip.querySelector(`button[aria-label="${inside}"]:enabled`) ?? strip).focus();
  bringIn(photo);
  if (!quiet) strip.scrollIntoView({ block: "nearest" });
  reveal(photo);
  redraw();
};
const close = () => {
  if (strip.hidden) return;
  const inside = strip.contains(document.activeElement);
  strip.hidden = true;
  state.opened = null;
  if (inside) list.focus();
  fill();
  redraw();
};
