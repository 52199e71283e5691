// What all parts share: the data, the grades of an answer, and ways to make elements.
const data = JSON.parse(document.getElementById("data").textContent);
const { photos, tiles, map, kinds } = data;
const by = (id) => document.getElementById(id);
const el = (name, attributes = {}, ...children) => {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) key === "class" ? (node.className = value) : node.setAttribute(key, value);
  node.append(...children);
  return node;
};
// The name of SVG, spelt in two so that this file holds no address at all.
const SVG = "http:" + "//" + "www.w3.org/2000/svg";
const svg = (name, attributes = {}, ...children) => {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
};
const many = (count) => count.toLocaleString("en");
const metres = (value) => (value >= 10000 ? (value / 1000).toFixed(0) + " km" : value >= 1000 ? (value / 1000).toFixed(1) + " km"
  : value >= 20 ? value.toFixed(0) + " m" : value.toFixed(1) + " m");
const percent = (value) => (100 * value).toFixed(value > 0.995 && value < 1 ? 1 : 0) + " %";

// Grades differ in colour (Okabe and Ito 2008) and in shape, on the map as in the list. Shapes are paths around (0, 0).
const CIRCLE = (r) => `M${r} 0A${r} ${r} 0 1 1-${r} 0A${r} ${r} 0 1 1 ${r} 0Z`;
const GRADES = {
  near: { colour: "#0072b2", text: `within ${data.near} m`, shape: CIRCLE(1) },
  mid: { colour: "#e69f00", text: `to ${data.far} m`, shape: "M0-1.3L1.3 0 0 1.3-1.3 0Z" },
  far: { colour: "#d55e00", text: "farther", shape: "M0-1.3L1.3 1H-1.3Z" },
  placed: { colour: "#56b4e9", text: "placed, truth unknown", shape: "M-.9-.9H.9V.9H-.9Z" },
  abstain: { colour: "#cc79a7", text: "abstained", shape: CIRCLE(1.15) + "M.5 0A.5 .5 0 1 0-.5 0A.5 .5 0 1 0 .5 0Z" },
  error: { colour: "#8a8a8a", text: "error", shape: "M-1-.6L-.6-1 0-.4 .6-1 1-.6 .4 0 1 .6 .6 1 0 .4-.6 1-1 .6-.4 0Z" },
};
const counts = {};
photos.forEach((photo, at) => {
  photo.at = at;
  photo.find = photo.name.toLowerCase();
  photo.grade = photo.status ?? (photo.error === undefined ? "placed" : photo.error <= data.near ? "near" : photo.error <= data.far ? "mid" : "far");
  counts[photo.grade] = (counts[photo.grade] ?? 0) + 1;
});
const known = photos.some((photo) => photo.error !== undefined);
const sure = photos.some((photo) => photo.confidence !== undefined) ? "confidence" : "margin";
const icon = (grade) => svg("svg", { viewBox: "-1.7 -1.7 3.4 3.4", class: "icon", "aria-hidden": "true" },
  svg("path", { d: GRADES[grade].shape, fill: GRADES[grade].colour, "fill-rule": "evenodd" }));
const verdict = (photo) => (photo.grade === "error" ? "error" : photo.grade === "abstain" ? "abstained"
  : photo.error === undefined ? "placed" : metres(photo.error) + " off");

// What is chosen: `rows` pass the filters in order, `active` is where the keyboard is, `opened` is in the strip.
const state = { rows: photos, active: null, opened: null };
