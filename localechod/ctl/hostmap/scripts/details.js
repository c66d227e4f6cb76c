// The list of units, and the details of what is selected.
const MOST_ROWS = 100;
const HINT = "A click on a unit opens it: its processes, the sockets that it serves, and its connections. " +
  "A click on a line shows its connections.";

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
