// Colours and lines of the graph, and its update.
const MOST_LABELS = 40; // of connections; with more, only those of what was clicked have one
let selected = null; // the id of an element of the graph

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
function style() {
  return [
    { selector: "node", style: {
      shape: "round-rectangle", width: "data(w)", height: 28, label: "data(label)", color: colour("ink"), "font-size": 13,
      "font-family": "sans-serif", "text-valign": "center", "text-halign": "center", "border-width": 1.5,
      "background-color": colour("unit"), "border-color": colour("unit-edge") } },
    { selector: "node[kind='process']", style: { "background-color": colour("process"), "border-color": colour("process-edge") } },
    { selector: "node[kind='hidden']", style: { "background-color": colour("hidden"), "border-color": colour("process-edge"), "border-style": "dashed" } },
    { selector: "node[kind='open']", style: {
      "background-color": colour("inside"), "text-valign": "top", "text-margin-y": -4, padding: 14, "font-weight": "bold" } },
    { selector: "node[stuck=1]", style: { "background-color": colour("stuck-fill"), "border-color": colour("stuck"), "border-width": 2.5 } },
    { selector: "edge", style: {
      width: "data(width)", "line-color": colour("line"), "target-arrow-color": colour("line"), "target-arrow-shape": "triangle",
      "curve-style": "bezier", label: "data(label)", color: colour("dim"), "font-size": 11, "text-rotation": "autorotate",
      "text-background-color": colour("page"), "text-background-opacity": 0.85, "text-background-padding": 1, "min-zoomed-font-size": 8 } },
    { selector: "edge.sidewards", style: { "curve-style": "unbundled-bezier", "control-point-distances": [70], "control-point-weights": [0.5], "text-rotation": "none" } },
    { selector: "edge.many", style: { label: "", opacity: 0.45, "arrow-scale": 0.8 } },
    { selector: "edge[waiting=1]", style: { "line-style": "dashed", "line-color": colour("waiting"), "target-arrow-color": colour("waiting") } },
    { selector: "edge[stuck=1]", style: { opacity: 1, "line-color": colour("stuck"), "target-arrow-color": colour("stuck"), color: colour("stuck"), "z-index": 2 } },
    { selector: "edge.near", style: { opacity: 1, "z-index": 3 } },
    { selector: "edge.named", style: { label: "data(label)" } },
    { selector: ".faded", style: { opacity: 0.15 } },
    { selector: ".chosen", style: { "border-color": colour("focus"), "border-width": 3 } },
    { selector: "edge.chosen", style: { "line-color": colour("focus"), "target-arrow-color": colour("focus") } },
  ];
}

const cy = cytoscape({ container: at("graph"), elements: [], style: style(), minZoom: 0.05, maxZoom: 3 });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => cy.style(style()));

function draw() {
  const shown = visible();
  const wanted = elements(shown);
  const before = cy.elements().map((each) => each.id()).join();
  cy.batch(() => {
    cy.elements().forEach((each) => { if (!wanted.has(each.id()) || each.data("parent") !== wanted.get(each.id()).data.parent) each.remove(); });
    [...wanted.values()].forEach((each) => {
      const old = cy.getElementById(each.data.id);
      // Apart from each other: an edge between nodes at the same place cannot be drawn, not even for a moment.
      if (old.nonempty()) old.data(each.data); else cy.add({ ...each, position: { x: 0, y: 2 * ROW * cy.nodes().length } });
    });
  });
  const edges = cy.edges();
  edges.toggleClass("many", edges.length > MOST_LABELS);
  if (cy.elements().map((each) => each.id()).join() !== before) arrange();
  list(shown);
  choose(wanted.has(selected) ? selected : null);
}
