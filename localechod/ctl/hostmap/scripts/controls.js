// What the reader does: clicks, search, filters.

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

at("host").textContent = data.host;
at("time").textContent = data.time;
at("notes").replaceChildren(...data.notes.map((note) => made("li", note)));
at("filter").addEventListener("input", draw);
at("filter").addEventListener("submit", (event) => event.preventDefault());
at("fit").addEventListener("click", fit);
at("close").addEventListener("click", () => { open.clear(); selected = null; draw(); });
window.hostmap = { cy, data }; // for the browser's console
draw();
