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
  stretch(inner);
  fit();
}

// The rows are as far apart as the window is high: labels of lines that cross are apart then.
function stretch(inner) {
  const box = cy.nodes().boundingBox();
  const factor = Math.min(2.5, (box.w * cy.height()) / (box.h * cy.width()));
  if (factor > 1) inner.forEach((each) => { each.position("y", each.position("y") * factor); });
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

// Nothing stands above the first node of an open unit, where its name is, nor below its last one, where its frame is.
function columnsOf(layer, most) {
  const columns = [[]];
  layer.forEach((block) => {
    const frame = block.nodes[0].isChild() ? [null] : [];
    const rows = block.nodes.length + 2 * frame.length;
    if (columns.at(-1).length && columns.at(-1).length + rows > most) columns.push([]);
    columns.at(-1).push(...frame);
    block.nodes.forEach((each) => {
      if (columns.at(-1).length > most) columns.push([]);
      columns.at(-1).push(each);
    });
    columns.at(-1).push(...frame);
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
