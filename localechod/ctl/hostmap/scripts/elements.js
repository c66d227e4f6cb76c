// The data as nodes and edges of the graph: a node for each unit, or for the processes of a unit that is open.
const MOST_PROCESSES = 24; // of an open unit; more are drawn as one node for each command and user

const open = new Set();

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
