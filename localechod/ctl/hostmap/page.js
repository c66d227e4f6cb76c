"use strict";

// Everything that is shown comes from the data by textContent or as a label on a canvas: no name is read as markup.
const data = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const MOST_PROCESSES = 24; // of an open unit; more are drawn as one node for each command and user
const MOST_ROWS = 100;
const MOST_LABELS = 40; // of connections; with more, only those of what was clicked have one

const groups = new Map(); // by name: the indices of its processes
data.processes.forEach((process, index) => {
  if (!groups.has(process.group)) groups.set(process.group, []);
  groups.get(process.group).push(index);
});
const socketsOf = data.processes.map(() => []);
data.sockets.forEach((socket) => socket.processes.forEach((index) => socketsOf[index].push(socket)));
const linksOf = data.processes.map(() => []);
data.links.forEach((link) => new Set([link.client, link.server]).forEach((index) => linksOf[index].push(link)));

const HINT = "A click on a unit opens it: its processes, the sockets that it serves, and its connections. " +
  "A click on a line shows its connections.";

const open = new Set();
let selected = null; // the id of an element of the graph

// ---- what is shown ----

function matches(text, field) {
  const has = (value) => value.toLowerCase().includes(text);
  const byProcess = (process) =>
    ((field === "any" || field === "group") && has(process.group)) ||
    ((field === "any" || field === "user") && has(process.user)) ||
    ((field === "any" || field === "process") && (has(process.command) || String(process.pid) === text));
  const byName = (name) => (field === "any" || field === "name") && has(name);
  return { byProcess, byName };
}

function visible() {
  const text = at("text").value.trim().toLowerCase();
  const { byProcess, byName } = matches(text, at("field").value);
  const stuckOnly = at("stuck").checked;
  const processes = new Set();
  data.processes.forEach((process, index) => {
    const sockets = socketsOf[index].filter((each) => !text || byProcess(process) || byName(each.name));
    const wanted = !text || byProcess(process) || sockets.length;
    if (wanted && (!stuckOnly || process.stuck || sockets.some((each) => each.stuck))) processes.add(index);
  });
  const found = (index) => byProcess(data.processes[index]);
  const links = data.links.filter(
    (link) => (!text || byName(link.name) || found(link.client) || found(link.server)) && (!stuckOnly || link.stuck));
  links.forEach((link) => processes.add(link.client).add(link.server));
  if (!at("alone").checked) {
    const linked = new Set(links.flatMap((link) => [data.processes[link.client].group, data.processes[link.server].group]));
    processes.forEach((index) => linked.has(data.processes[index].group) || processes.delete(index));
  }
  return { processes, links };
}

function isStuck(indices) {
  return indices.some((index) => data.processes[index].stuck || socketsOf[index].some((each) => each.stuck) ||
    linksOf[index].some((link) => link.stuck_at === index));
}

function nodeOf(index) {
  const process = data.processes[index];
  if (!open.has(process.group)) return "g:" + process.group;
  if (groups.get(process.group).length <= MOST_PROCESSES) return "p:" + index;
  return "c:" + JSON.stringify([process.group, process.command, process.user]);
}

const pen = document.createElement("canvas").getContext("2d");
function node(id, label, more) {
  pen.font = "13px sans-serif";
  return { group: "nodes", data: { id, label, w: Math.ceil(pen.measureText(label).width) + 22, ...more } };
}

function short(text) {
  return text.length > 40 ? text.slice(0, 18) + "…" + text.slice(-20) : text;
}

function elements({ processes, links }) {
  const members = new Map(); // of each node
  const found = new Map();
  processes.forEach((index) => {
    const id = nodeOf(index);
    if (!members.has(id)) members.set(id, []);
    members.get(id).push(index);
    const { group } = data.processes[index];
    if (open.has(group)) found.set("g:" + group, node("g:" + group, short(group), { kind: "open", stuck: 0 }));
  });
  members.forEach((indices, id) => {
    const { group, command, pid } = data.processes[indices[0]];
    const stuck = isStuck(indices) ? 1 : 0;
    const many = indices.length > 1 ? ` · ${indices.length}` : "";
    const kind = pid === null ? "hidden" : id[0] === "g" ? "unit" : "process";
    if (id[0] === "g") found.set(id, node(id, short(group) + many, { kind, stuck }));
    else found.set(id, node(id, short(command) + (id[0] === "c" ? many : pid === null ? "" : ` ${pid}`), { kind, stuck, parent: "g:" + group }));
  });
  const edges = new Map();
  links.forEach((link) => {
    const [source, target] = [nodeOf(link.client), nodeOf(link.server)];
    if (source === target) return;
    const id = `e:${source}>${target}`;
    if (!edges.has(id)) edges.set(id, { source, target, links: [] });
    edges.get(id).links.push(link);
  });
  edges.forEach(({ source, target, links: some }, id) => {
    const count = some.reduce((sum, link) => sum + total(link), 0);
    const names = new Set(some.map((link) => link.name));
    const label = (names.size === 1 ? nameOf(some[0]).split("/").pop() : `${names.size} sockets`) + (count > 1 ? ` ×${count}` : "");
    const waiting = some.every((link) => total(link) === (link.states.waiting || 0)) ? 1 : 0;
    const width = 1.5 + Math.min(4, Math.log2(count) / 1.5);
    const stuck = some.some((link) => link.stuck) ? 1 : 0;
    found.set(id, { group: "edges", data: { id, source, target, label: short(label), width, waiting, stuck } });
  });
  return found;
}

const total = (link) => Object.values(link.states).reduce((sum, count) => sum + count, 0);
const nameOf = (link) => link.name || "socketpair";

// ---- the graph ----

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
    { selector: "edge.sidewards", style: { "curve-style": "unbundled-bezier", "control-point-distances": [70], "control-point-weights": [0.5] } },
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

// Clients stand at the left, servers at the right, and units that are both between them. The layouts of the library
// know nothing of labels' widths, so that 60 units overlap.
const ROW = 40, GAP = 44, LAYER = 210; // pixels, at zoom 1

function arrange() {
  const inner = cy.nodes().filter((each) => !each.isParent());
  const blocks = new Map(); // the nodes of each unit, which stay together
  inner.forEach((each) => {
    const group = each.data("parent") || each.id();
    if (!blocks.has(group)) blocks.set(group, { nodes: [], rank: 0, into: 0, out: 0 });
    const block = blocks.get(group);
    block.nodes.push(each);
    block.into += each.incomers("edge").length;
    block.out += each.outgoers("edge").length;
  });
  const layers = [[], [], [], []]; // clients, both, servers, without connections
  blocks.forEach((block) => layers[block.into ? (block.out ? 1 : 2) : block.out ? 0 : 3].push(block));
  const linked = layers.slice(0, 3).filter((layer) => layer.length);
  linked.forEach((layer) => layer.sort((a, b) => b.into + b.out - a.into - a.out));
  const most = Math.max(8, Math.ceil(3 * Math.sqrt(inner.length)));
  for (let round = 0; round < 4; round++) {
    place(linked, most);
    linked.forEach((layer) => {
      layer.forEach((block) => { block.rank = middle(block); });
      layer.sort((a, b) => a.rank - b.rank);
    });
  }
  place(linked, most);
  below(layers[3].flatMap((block) => block.nodes), linked);
  fit();
}

// Each layer is as many columns of rows as it needs, around the same middle.
function place(layers, most) {
  let x = 0;
  const split = layers.map((layer) => columnsOf(layer, most));
  const rows = Math.max(8, ...split.flat().map((column) => column.length));
  split.forEach((columns) => {
    columns.forEach((column) => {
      const width = Math.max(0, ...column.map((each) => (each ? each.data("w") : 0)));
      const row = Math.min(110, (rows * ROW) / column.length);
      column.forEach((each, number) => each && each.position({ x: x + width / 2, y: (number - (column.length - 1) / 2) * row }));
      x += width + GAP;
    });
    x += LAYER - GAP;
  });
  cy.edges().forEach((each) => { each.toggleClass("sidewards", each.source().position("x") === each.target().position("x")); });
}

// Nothing stands above the first node of an open unit: its name does.
function columnsOf(layer, most) {
  const columns = [[]];
  layer.forEach((block) => {
    const room = block.nodes.length + (block.nodes[0].isChild() ? 1 : 0);
    if (columns.at(-1).length && columns.at(-1).length + room > most) columns.push([]);
    if (block.nodes[0].isChild()) columns.at(-1).push(null);
    block.nodes.forEach((each) => {
      if (columns.at(-1).length > most) columns.push([]);
      columns.at(-1).push(each);
    });
  });
  return columns;
}

function middle(block) {
  const others = block.nodes.flatMap((each) => each.neighborhood("node").map((other) => other.position("y")));
  return others.reduce((sum, y) => sum + y, 0) / Math.max(1, others.length);
}

// Units without connections stand in rows below the others.
function below(alone, linked) {
  const nodes = cy.collection(linked.flatMap((layer) => layer.flatMap((block) => block.nodes)));
  const box = nodes.nonempty() ? nodes.union(nodes.parents()).boundingBox() : { x1: 0, x2: 0, y2: 0 };
  const width = Math.max(box.x2 - box.x1, 260 * Math.sqrt(alone.length));
  let [x, y] = [box.x1, box.y2 + 80];
  let before = null;
  alone.sort((a, b) => (a.data("parent") || a.id()).localeCompare(b.data("parent") || b.id())).forEach((each) => {
    const parent = each.data("parent") || null;
    if (x + each.data("w") > box.x1 + width || (parent !== before && (parent || before))) { x = box.x1; y += parent || before ? 80 : ROW + 8; }
    each.position({ x: x + each.data("w") / 2, y });
    x += each.data("w") + 24;
    before = parent;
  });
}

function fit() {
  cy.fit(undefined, 36);
  if (cy.zoom() > 1.15) { cy.zoom(1.15); cy.center(); }
}

function toggle(group) {
  if (open.has(group)) open.delete(group); else open.add(group);
  selected = "g:" + group;
  draw();
}

cy.on("tap", (event) => {
  if (event.target === cy) return choose(null);
  const id = event.target.id();
  if (event.target.isNode() && id.startsWith("g:")) toggle(id.slice(2)); else choose(id);
});

// ---- the list and the details ----

function made(tag, text, name) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (name) element.className = name;
  return element;
}

const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

function list({ processes, links }) {
  const names = [...new Set([...processes].map((index) => data.processes[index].group))];
  const weight = new Map(names.map((name) => [name, 0]));
  links.forEach((link) => new Set([link.client, link.server].map((index) => data.processes[index].group))
    .forEach((name) => weight.set(name, weight.get(name) + total(link))));
  const stuck = new Set(names.filter((name) => isStuck(groups.get(name))));
  names.sort((a, b) => stuck.has(b) - stuck.has(a) || weight.get(b) - weight.get(a) || a.localeCompare(b));
  at("units").replaceChildren(...names.map((name) => {
    const item = made("li");
    const button = made("button", undefined, stuck.has(name) ? "stuck" : "");
    button.type = "button";
    button.title = name;
    button.append(made("span", name), made("span", weight.get(name) || "", "dim"));
    button.setAttribute("aria-pressed", String(open.has(name)));
    button.addEventListener("click", () => toggle(name));
    item.append(button);
    return item;
  }));
  const count = links.reduce((sum, link) => sum + total(link), 0);
  at("count").textContent = `${plural(names.length, "unit")}, ${plural(count, "connection")}, ${stuck.size} stuck`;
}

function choose(id) {
  selected = id;
  const target = id ? cy.getElementById(id) : cy.collection();
  cy.elements().removeClass("faded chosen near named");
  at("details").replaceChildren();
  if (target.empty()) return at("details").append(made("p", HINT, "dim"));
  const inside = target.union(target.descendants());
  const near = inside.union(inside.connectedEdges()).union(inside.connectedEdges().connectedNodes());
  cy.elements().difference(near.union(near.ancestors()).union(near.descendants())).addClass("faded");
  near.addClass(near.edges().length > MOST_LABELS ? "near" : "near named");
  target.addClass("chosen");
  details(target);
}

function details(target) {
  const ends = (index) => nodeOf(index) === target.id() || "g:" + data.processes[index].group === target.id();
  const isEdge = target.isEdge();
  const indices = isEdge ? [] : data.processes.map((_, index) => index).filter(ends);
  const links = data.links.filter((link) => isEdge
    ? nodeOf(link.client) === target.data("source") && nodeOf(link.server) === target.data("target")
    : ends(link.client) || ends(link.server));
  at("details").append(made("h2", isEdge ? "Connections" : target.id()[0] === "p" ? title(indices[0]) : target.id()[0] === "g" ? target.id().slice(2) : target.data("label")));
  rows("Processes", indices, (index) => {
    const process = data.processes[index];
    return [`${title(index)}, ${process.user}`, process.stuck];
  });
  rows("Serves", [...new Set(indices.flatMap((index) => socketsOf[index]))], (socket) => {
    const queue = socket.listening ? `${socket.queue} of ${socket.backlog} waiting` : `${socket.queue} bytes unread`;
    return [`${socket.type}, ${socket.listening || socket.queue ? queue : "no message unread"}`, socket.stuck, socket.name];
  });
  rows("Connections", links, (link) => {
    const states = Object.entries(link.states).map(([state, count]) => `${count} ${state}`).join(", ");
    const unread = link.to_server || link.to_client ? `; unread: ${link.to_server} to the server, ${link.to_client} to the client` : "";
    return [`${title(link.client)} → ${title(link.server)}: ${states}${unread}`, link.stuck, nameOf(link)];
  });
}

function title(index) {
  const { command, pid, user } = data.processes[index];
  return pid === null ? `${command} (${user})` : `${command} (${pid})`;
}

function rows(heading, values, text) {
  if (!values.length) return;
  const items = values.slice(0, MOST_ROWS).map((value) => {
    const [line, stuck, name] = text(value);
    const item = made("li");
    if (name !== undefined) item.append(made("code", name), made("br"));
    item.append(made("span", line));
    if (stuck) item.append(made("div", stuck, "stuck"));
    return item;
  });
  if (values.length > MOST_ROWS) items.push(made("li", `and ${values.length - MOST_ROWS} more`, "dim"));
  const whole = made("ul");
  whole.append(...items);
  at("details").append(made("h3", `${heading} (${values.length})`), whole);
}

// ---- the start ----

at("host").textContent = data.host;
at("time").textContent = data.time;
at("notes").replaceChildren(...data.notes.map((note) => made("li", note)));
at("filter").addEventListener("input", draw);
at("filter").addEventListener("submit", (event) => event.preventDefault());
at("fit").addEventListener("click", fit);
at("close").addEventListener("click", () => { open.clear(); selected = null; draw(); });
window.hostmap = { cy, data }; // for the browser's console
draw();
