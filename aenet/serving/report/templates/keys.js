
// Keys, wires, and the start.
const here = () => state.rows.indexOf(state.active);
list.addEventListener("keydown", (event) => {
  const page = Math.max(1, Math.floor(list.clientHeight / ROW) - 1), at = here();
  const to = { ArrowDown: at + 1, ArrowUp: at < 0 ? 0 : at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: state.rows.length - 1 }[event.key];
  if (to !== undefined) move(to);
  else if ((event.key === "Enter" || event.key === " ") && state.rows.length) open(state.rows[Math.max(0, at)]);
  else return;
  event.preventDefault();
});
list.addEventListener("focus", () => { if (!state.active && state.rows.length) move(0); });
list.addEventListener("scroll", () => requestAnimationFrame(fill), { passive: true });
canvas.addEventListener("keydown", (event) => {
  const pan = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] }[event.key];
  const step = { n: 1, p: -1 }[event.key.toLowerCase()];
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (pan) { view.x += pan[0]; view.y += pan[1]; redraw(); }
  else if (event.key === "+" || event.key === "=") zoom(1.4);
  else if (event.key === "-") zoom(1 / 1.4);
  else if (event.key === "0") fit();
  else if (step) move(here() + step);
  else if (event.key === "Enter" && state.active) open(state.active);
  else return;
  event.preventDefault();
});
document.addEventListener("keydown", (event) => {
  const writing = event.target.matches("input[type=search], select");
  if (event.key === "/" && !writing && !event.ctrlKey && !event.metaKey) { by("find").focus(); by("find").select(); }
  else if (event.key === "Escape" && !(writing && event.target.value && event.target.id === "find")) close();
  else if (event.key === "ArrowDown" && event.target.id === "find") list.focus();
  else return;
  if (event.key !== "Escape") event.preventDefault();
});
for (const id of ["least", "most", "find"]) by(id).addEventListener("input", filter);
for (const id of ["reason", "order"]) by(id).addEventListener("change", filter);
by("clear").addEventListener("click", clear);
by("zoom-in").addEventListener("click", () => zoom(1.6));
by("zoom-out").addEventListener("click", () => zoom(1 / 1.6));
by("zoom-fit").addEventListener("click", fit);
colourBy.addEventListener("change", () => { drawKey(); redraw(); });
lines.addEventListener("change", redraw);
// On paper the list cannot scroll: it shows its first rows.
window.addEventListener("beforeprint", () => {
  printing = 40; list.scrollTop = 0; forget(); fill();
  by("paper").textContent = `Rows 1 to ${many(Math.min(printing, state.rows.length))} of the ${many(state.rows.length)} chosen; all are in places.csv.`;
});
window.addEventListener("afterprint", () => { printing = 0; forget(); fill(); });
new ResizeObserver(() => {
  const first = size[0] === 0;
  size = [canvas.clientWidth, canvas.clientHeight];
  canvas.width = size[0] * ratio(); canvas.height = size[1] * ratio();
  first ? fit() : draw();
}).observe(canvas);
new ResizeObserver(fill).observe(list);
backdrop.addEventListener("load", redraw);
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
by("explore").hidden = false; // without a script there is nothing in it
drawKey();
filter();
const pictured = photos.filter((photo) => photo.picture && photo.grade !== "abstain");
if (pictured.length) {
  open(pictured.reduce((best, photo) => ((photo[sure] ?? -1) > (best[sure] ?? -1) ? photo : best)), true);
  // An example to begin with; the list itself begins at its first row.
  state.active = null;
  list.scrollTop = 0;
  fill();
}
document.body.dataset.ready = String(photos.length);
