"use strict";

// The map's data, and what of it a search and the filters leave. Everything that is shown comes from the data by
// textContent or as a label on a canvas: no name is read as markup.
const data = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);

const groups = new Map(); // by name: the indices of its processes
data.processes.forEach((process, index) => {
  if (!groups.has(process.group)) groups.set(process.group, []);
  groups.get(process.group).push(index);
});
const socketsOf = data.processes.map(() => []);
data.sockets.forEach((socket) => socket.processes.forEach((index) => socketsOf[index].push(socket)));
const linksOf = data.processes.map(() => []);
data.links.forEach((link) => new Set([link.client, link.server]).forEach((index) => linksOf[index].push(link)));

const total = (link) => Object.values(link.states).reduce((sum, count) => sum + count, 0);
const nameOf = (link) => link.name || "socketpair";

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
