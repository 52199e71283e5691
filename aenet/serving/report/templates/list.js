
// Filters, and the list: only the rows in sight exist, so that ten thousand open as fast as ten.
const ROW = 52, list = by("list"), runway = by("runway"), live = new Map();
let printing = 0;
const shown = new Set(Object.keys(GRADES)), chips = {};
for (const grade of Object.keys(GRADES).filter((name) => counts[name])) {
  const box = el("input", { type: "checkbox", value: grade, checked: "" }), number = el("b", {});
  box.addEventListener("change", () => { box.checked ? shown.add(grade) : shown.delete(grade); filter(); });
  chips[grade] = { box, number };
  by("grades").append(el("label", { class: "chip" }, box, icon(grade), GRADES[grade].text + " ", number));
}
by("confidence").hidden = sure !== "confidence";
by("reason-label").hidden = !kinds.length;
by("reason").append(el("option", { value: "" }, "any"), ...kinds.map((kind, number) => el("option", { value: number }, kind.length > 70 ? kind.slice(0, 69) + "…" : kind)));
const least = (field) => (a, b) => (a[field] ?? Infinity) - (b[field] ?? Infinity), most = (field) => (a, b) => (b[field] ?? -1) - (a[field] ?? -1);
const ORDERS = { "as given": null, ...(known ? { "largest error first": most("error") } : {}), [`lowest ${sure} first`]: least(sure), [`highest ${sure} first`]: most(sure),
  "lowest score first": least("score"), "by name": (a, b) => (a.find < b.find ? -1 : a.find > b.find ? 1 : 0) };
for (const name of Object.keys(ORDERS)) by("order").append(el("option", {}, name));
by("head-sure").textContent = sure;
by("head-error").textContent = known ? "error" : "score";

const filter = () => {
  const word = by("find").value.toLowerCase(), order = ORDERS[by("order").value], reason = by("reason").value;
  const [low, high] = [Number(by("least").value), Number(by("most").value)].sort((a, b) => a - b);
  by("range").textContent = `${low} to ${high} %`;
  const within = {}, rows = [];
  for (const photo of photos) {
    if (word && !photo.find.includes(word)) continue;
    if (reason !== "" && photo.kind !== Number(reason)) continue;
    // Those without a confidence are only left out when a part of the range is asked for.
    if ((low > 0 || high < 100) && !(100 * photo.confidence >= low && 100 * photo.confidence <= high)) continue;
    within[photo.grade] = (within[photo.grade] ?? 0) + 1;
    if (shown.has(photo.grade)) rows.push(photo);
  }
  state.rows = order ? rows.sort(order) : rows;
  for (const [grade, { number }] of Object.entries(chips)) number.textContent = many(within[grade] ?? 0);
  by("count").textContent = `${many(rows.length)} of ${many(photos.length)} photos`;
  if (!rows.includes(state.active)) state.active = state.opened && rows.includes(state.opened) ? state.opened : null;
  list.scrollTop = 0;
  runway.style.height = rows.length * ROW + "px";
  forget();
  fill();
  redraw();
};
const clear = () => {
  for (const [grade, { box }] of Object.entries(chips)) { box.checked = true; shown.add(grade); }
  by("find").value = ""; by("reason").value = ""; by("least").value = 0; by("most").value = 100;
  filter();
};

// A photo of part of the horizon fills its thumbnail; one that goes on at the other edge shows its larger part.
const thumbnail = (photo) => {
  if (!photo.picture) return el("span", { class: "thumb" });
  if (!photo.cover) return el("img", { class: "thumb", src: photo.picture, alt: "" });
  const [start, width] = photo.cover, picture = el("img", { src: photo.picture, alt: "" });
  const from = start + width <= 360 ? start : 360 - start >= width / 2 ? 360 - width : 0;
  picture.style.width = (36000 / width) + "%";
  picture.style.left = (-100 * from / width) + "%";
  return el("span", { class: "thumb part" }, picture);
};
const option = (photo, index) => {
  const thumb = thumbnail(photo);
  const node = el("div", { id: "row-" + photo.at, class: "row", role: "option", "aria-posinset": index + 1, "aria-setsize": state.rows.length },
    icon(photo.grade), thumb,
    el("span", { class: "name" }, el("b", {}, photo.name), el("span", {}, photo.reason ?? GRADES[photo.grade].text)),
    el("span", { class: "figure" }, photo[sure] === undefined ? "" : sure === "confidence" ? percent(photo[sure]) : photo[sure].toFixed(3)),
    el("span", { class: "figure" }, known ? (photo.error === undefined ? "" : metres(photo.error)) : photo.score === undefined ? "" : photo.score.toFixed(3)));
  node.style.transform = `translateY(${index * ROW}px)`;
  node.addEventListener("click", () => open(photo));
  return node;
};
const forget = () => { live.clear(); runway.replaceChildren(); };
const fill = () => {
  const first = printing ? 0 : Math.max(0, Math.floor(list.scrollTop / ROW) - 4);
  const last = Math.min(state.rows.length, printing || Math.ceil((list.scrollTop + list.clientHeight) / ROW) + 4);
  for (const [index, node] of live) if (index < first || index >= last) { node.remove(); live.delete(index); }
  for (let index = first; index < last; index++) {
    if (!live.has(index)) { const node = option(state.rows[index], index); live.set(index, node); runway.append(node); }
    const photo = state.rows[index], node = live.get(index);
    node.setAttribute("aria-selected", String(photo === state.opened));
    node.classList.toggle("active", photo === state.active);
  }
  const active = state.active && by("row-" + state.active.at);
  active ? list.setAttribute("aria-activedescendant", active.id) : list.removeAttribute("aria-activedescendant");
};
const reveal = (photo) => {
  const at = state.rows.indexOf(photo), top = at * ROW;
  if (at >= 0 && top < list.scrollTop) list.scrollTop = top;
  else if (at >= 0 && top + ROW > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW - list.clientHeight;
  fill();
};
// Moving turns the pages of an open strip; a closed one stays closed until Enter.
const move = (to) => {
  const photo = state.rows[Math.max(0, Math.min(state.rows.length - 1, to))];
  if (!photo) return;
  if (state.opened) { open(photo, true); return; }
  state.active = photo;
  bringIn(photo); reveal(photo); redraw();
};
