// The known network as a clock face: the direction is a node's place on the ring of all addresses, which never changes;
// the distance is its round trip. So nodes stay where they are, and what moves means something.

import { h } from "/assets/elements.js";
import { ago, bytes, duration, millis, ringPlace } from "/assets/format.js";
import { address, badge, button, card, code, empty, facts, foreign, loading, road, roadKind, trip, who } from "/assets/parts.js";

const CENTRE = 380;
const INNER = 96;
const OUTER = 300;
const UNMEASURED = 330;
const MOST_LABELS = 36;
const LABEL_CHARS = 18;
const REACH = 20;

export function view(state, deeds) {
  const { me, tunnels, contacts, names } = state.parts;
  if (!tunnels || !contacts) return loading();
  const nodes = merge(tunnels.rows, contacts.rows, names ?? {});
  if (!nodes.length) return card("Network", {}, empty("No other node known", "Start the daemon with a node to join through: ", code("--bootstrap HOST:PORT")));
  const chosen = nodes.find((node) => node.address === state.form.chosen) ?? null;
  return h(
    "div",
    { class: "split" },
    card("Map", { class: "map", aside: legend() }, drawing(me, nodes, chosen, deeds)),
    h("div", { class: "stack" }, chosen ? detail(chosen, names ?? {}, state, deeds) : card("Reading the map", {}, h("p", {}, "Each dot is a node. Its direction is its place on the ring of all addresses; the farther out it is, the longer its round trip."), h("p", { class: "muted" }, "Choose a dot to see more. With the keyboard: Tab to the map, then the arrow keys.")), list(nodes, chosen, deeds)),
  );
}

function merge(links, contacts, names) {
  const nodes = new Map();
  for (const contact of contacts) nodes.set(contact.address, { ...contact, kind: "known", name: names[contact.address] ?? "" });
  for (const link of links) {
    const before = nodes.get(link.address);
    nodes.set(link.address, { ...before, ...link, kind: roadKind(link), name: link.hostname || names[link.address] || "", rtt_s: link.rtt_s ?? before?.rtt_s ?? null, link });
  }
  return [...nodes.values()].sort((one, other) => ringPlace(one.address) - ringPlace(other.address));
}

const legend = () => h("div", { class: "legend" }, badge("direct", "Direct tunnel"), badge("relayed", "Carried by others"), badge("plain", "Known"));

/** Ends of the logarithmic scale: whole decades of milliseconds around what was measured, at least two of them. */
function scale(nodes) {
  const measured = nodes.map((node) => node.rtt_s).filter((rtt) => rtt > 0).map((rtt) => Math.log10(rtt * 1000));
  const low = Math.floor(Math.min(...measured, 0));
  const high = Math.max(low + 2, Math.ceil(Math.max(...measured, 0)));
  return { low, high, radius: (rtt) => (rtt > 0 ? INNER + ((Math.log10(rtt * 1000) - low) / (high - low)) * (OUTER - INNER) : UNMEASURED) };
}

function place(node, measure) {
  const angle = ringPlace(node.address) * 2 * Math.PI;
  const radius = measure.radius(node.rtt_s);
  return { x: CENTRE + radius * Math.sin(angle), y: CENTRE - radius * Math.cos(angle), side: Math.sin(angle) };
}

function drawing(me, nodes, chosen, deeds) {
  const measure = scale(nodes);
  const places = new Map(nodes.map((node) => [node.address, place(node, measure)]));
  spread([...places.values()]);
  part([...places.values()]);
  const decades = Array.from({ length: measure.high - measure.low + 1 }, (_, index) => measure.low + index);
  const step = (event, index) => {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!by && event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    const next = by ? (index + by + nodes.length) % nodes.length : index;
    deeds.set({ chosen: nodes[next].address });
    event.currentTarget.parentNode.querySelectorAll("[role=button]")[next]?.focus();
  };
  return h(
    "svg",
    { class: "sky", viewBox: "0 30 760 700", role: "group", "aria-label": `Map of ${nodes.length} nodes around this one` },
    decades.map((decade) => h("circle", { class: "ring", cx: CENTRE, cy: CENTRE, r: measure.radius(10 ** decade / 1000) })),
    decades.map((decade) => h("text", { class: "ring-label", x: CENTRE, y: CENTRE - measure.radius(10 ** decade / 1000) + 4, "text-anchor": "middle" }, millis(10 ** decade / 1000).replace(".0", "").replace("0.10", "0.1"))),
    h("g", { class: "edges" }, nodes.map((node) => edge(node, places, chosen))),
    h("g", { class: "self" }, h("circle", { cx: CENTRE, cy: CENTRE, r: 46, class: "halo" }), h("circle", { cx: CENTRE, cy: CENTRE, r: 13 }), h("text", { x: CENTRE, y: CENTRE + 34, "text-anchor": "middle" }, short(me.hostname || "this node"))),
    h(
      "g",
      {},
      nodes.map((node, index) => dot(node, places.get(node.address), node === chosen, nodes.length <= MOST_LABELS || node.name !== "", { tabindex: (chosen ? node === chosen : index === 0) ? 0 : -1, onclick: () => deeds.set({ chosen: node === chosen ? null : node.address }), onkeydown: (event) => step(event, index) })),
    ),
  );
}

/** Move labels apart where they would cover each other, and out of the way of dots. */
function spread(all) {
  const gap = window.innerWidth > 760 ? 18 : 28;
  const crowd = (one, sign) => all.filter((other) => other !== one && Math.abs(other.y - one.y) < 2 * gap && (other.x - CENTRE) * sign > 0).length;
  for (const one of all) if (Math.abs(one.side) < 0.35) one.side = crowd(one, 1) <= crowd(one, -1) ? 1 : -1;
  for (const isRight of [false, true]) {
    let last = -Infinity;
    for (const one of all.filter((each) => each.side > 0 === isRight).sort((one, other) => one.y - other.y)) {
      one.label = Math.max(one.y, last + gap);
      last = one.label;
      const sign = isRight ? 1 : -1;
      one.start = one.x + 16 * sign;
      const near = all.filter((other) => other !== one && Math.abs(other.y - one.label) < gap).sort((a, b) => sign * (a.x - b.x));
      for (const other of near) if (sign * (other.x - one.start) > -14 && sign * (other.x - one.start) < 70) one.start = other.x + 16 * sign;
    }
  }
}

/** Give each dot the room around it in which it can be clicked: none takes its neighbour's. */
function part(all) {
  for (const one of all) one.reach = REACH;
  all.forEach((one, index) => {
    for (let at = index + 1; at < all.length; at += 1) {
      const half = Math.hypot(all[at].x - one.x, all[at].y - one.y) / 2;
      if (half < REACH) for (const each of [one, all[at]]) each.reach = Math.min(each.reach, half);
    }
  });
}

const short = (text) => (text.length > LABEL_CHARS ? `${text.slice(0, LABEL_CHARS - 1)}…` : text);

function edge(node, places, chosen) {
  const { x, y } = places.get(node.address);
  const kind = `edge ${node.kind} ${node === chosen ? "chosen" : ""}`;
  const relay = node.link?.relay ? places.get(node.link.relay) : null;
  const path = relay ? `M${CENTRE} ${CENTRE}L${relay.x.toFixed(1)} ${relay.y.toFixed(1)}L${x.toFixed(1)} ${y.toFixed(1)}` : `M${CENTRE} ${CENTRE}L${x.toFixed(1)} ${y.toFixed(1)}`;
  return h("path", { key: node.address, class: kind, d: path });
}

function dot(node, { x, y, side, start, label: height, reach }, isChosen, hasLabel, props) {
  const radius = node.kind === "known" ? 6 : 9;
  const anchor = side > 0 ? "start" : "end";
  const label = node.name || node.address.slice(node.address.indexOf(":") + 1);
  return h(
    "g",
    { key: node.address, class: `node ${node.kind} ${isChosen ? "chosen" : ""}`, role: "button", "aria-pressed": isChosen ? "true" : "false", "aria-label": `${node.name || node.address}, ${node.link ? `tunnel, ${node.link.road}` : "known"}, ${millis(node.rtt_s)}`, ...props },
    h("circle", { class: "reach", cx: x.toFixed(1), cy: y.toFixed(1), r: Math.max(radius, reach).toFixed(1) }),
    h("circle", { class: "body", cx: x.toFixed(1), cy: y.toFixed(1), r: radius }),
    hasLabel ? h("text", { x: start.toFixed(1), y: (height + 4.5).toFixed(1), "text-anchor": anchor }, short(label)) : null,
  );
}

function detail(node, names, state, deeds) {
  const link = node.link;
  const fields = { target: node.address };
  return card(
    "Chosen node",
    { aside: button("Close", { class: "quiet", onclick: () => deeds.set({ chosen: null }) }) },
    h("p", { class: "headline" }, node.name ? foreign(node.name) : address(node.address)),
    facts([
      ["Address", address(node.address)],
      ["Endpoint", h("span", { class: "mono wrap" }, node.endpoint)],
      ["Road", link ? road(link, names) : h("span", { class: "muted" }, "no tunnel")],
      ["Round trip", trip(node.rtt_s)],
      ["Traffic", link ? h("span", { class: "number" }, `${bytes(link.received_bytes)} in, ${bytes(link.sent_bytes)} out`) : ""],
      ["Open for", link ? h("span", { class: "number" }, duration(state.now - link.since)) : ""],
      ["Answered", node.seen ? h("span", { class: "number" }, ago(node.seen, state.now)) : ""],
    ]),
    h("div", { class: "acts" }, button("Ping through a tunnel", { disabled: deeds.isBusy("ping", fields), onclick: () => deeds.act("ping", fields, (data) => `${node.name || node.address} answered in ${millis(data.rtt_s)}.`) })),
  );
}

function list(nodes, chosen, deeds) {
  return card(
    "As a list",
    { aside: h("span", { class: "muted number" }, String(nodes.length)) },
    h(
      "ul",
      { class: "lines scroll" },
      nodes.map((node) =>
        h("li", { key: node.address }, h("button", { type: "button", class: "link", "aria-pressed": node === chosen ? "true" : "false", onclick: () => deeds.set({ chosen: node.address }) }, who(node.name, node.address)), h("span", { class: "line-end" }, h("i", { class: `dot ${node.kind === "known" ? "plain" : node.kind}`, role: "img", "aria-label": node.kind }), h("span", { class: "number" }, millis(node.rtt_s)))),
      ),
    ),
  );
}
