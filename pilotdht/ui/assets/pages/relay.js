// How this node is reached, what others carry for it, and what it carries for others.

import { h } from "/assets/elements.js";
import { bytes, plural, rate, whole } from "/assets/format.js";
import { address, badge, card, empty, facts, findings, loading, nameOf, road, roadKind, tile, trip, who } from "/assets/parts.js";

export function view(state) {
  const { netcheck, relay, tunnels, names } = state.parts;
  if (!netcheck || !relay || !tunnels) return loading();
  const carried = tunnels.rows.filter((link) => roadKind(link) !== "direct");
  return h(
    "div",
    { class: "grid" },
    h(
      "dl",
      { class: "tiles wide" },
      tile("Carried for others", bytes(relay.forwarded_bytes), `${whole(relay.forwarded_frames)} datagrams`),
      tile("Nodes attached here", whole(relay.attached), `of at most ${whole(relay.max_attached)}`),
      tile("Channels through here", whole(relay.channels), `of at most ${whole(relay.max_channels)}`),
      tile("Tunnels carried", whole(carried.length), `of ${whole(tunnels.total)} of this node`),
    ),
    card("Reachability", { aside: netcheck.is_server ? badge("direct", "Reached by others") : badge("relayed", "Not reached so far") }, findings(netcheck)),
    card(
      "Where this node stands",
      {},
      facts([
        ["Own addresses", h("span", { class: "mono wrap" }, netcheck.own_addresses.join(", ") || "not known")],
        ["NAT over IPv4", nat(netcheck.ipv4)],
        ["NAT over IPv6", nat(netcheck.ipv6)],
        ["On the link", netcheck.neighbours.length ? h("span", { class: "number" }, plural(netcheck.neighbours.length, "neighbour")) : ""],
        ["Port mapping", netcheck.mapped ? h("span", { class: "mono" }, netcheck.mapped) : netcheck.port_mapping],
      ]),
    ),
    card(
      "Called through",
      {},
      netcheck.servers.length
        ? h("ul", { class: "lines" }, netcheck.servers.map((server) => h("li", { key: server.address }, who(names?.[server.address], server.address), address(server.endpoint))))
        : empty("Not attached to any server", netcheck.is_server ? "Others reach this node without help." : "Servers are looked for as soon as it is known that others do not reach this node."),
    ),
    card(
      "Tunnels that others carry",
      {},
      carried.length
        ? h("ul", { class: "lines" }, carried.map((link) => h("li", { key: link.address }, who(nameOf(link, names), link.address), h("span", { class: "line-end" }, road(link, names), trip(link.rtt_s)))))
        : empty("All tunnels are direct", "Where two NATs let nothing through, another node carries the datagrams; it cannot read them."),
    ),
    card(
      "Serving others",
      { class: "wide", aside: relay.is_serving ? badge("direct", relay.is_relay ? "Introduces and relays" : "Introduces only") : badge("plain", "Off") },
      relay.is_serving
        ? [
            meter("Attached nodes", relay.attached, relay.max_attached),
            meter("Channels", relay.channels, relay.max_channels),
            facts([
              ["At most", h("span", { class: "number" }, `${rate(relay.total_bytes_per_s)} for all together`)],
              ["Not sent on", h("span", { class: "number" }, `${whole(relay.dropped_frames)} datagrams: over their share, or of no channel`)],
            ]),
          ]
        : empty("This node serves nobody", "Nodes behind NATs cannot attach here. It is the setting relay.is_enabled."),
    ),
  );
}

function nat(behaviour) {
  const seen = behaviour.public ?? behaviour.public_host;
  if (!seen) return h("span", { class: "muted" }, "nobody has seen this node from outside");
  return h("span", {}, `mapping ${behaviour.mapping}, filtering ${behaviour.filtering}, seen at `, h("span", { class: "mono" }, seen));
}

const meter = (label, value, most) =>
  h(
    "div",
    { class: "meter", key: label },
    h("span", {}, label),
    h("span", { class: "track", role: "meter", "aria-label": label, "aria-valuenow": value, "aria-valuemin": 0, "aria-valuemax": most }, h("span", { class: "fill", vars: { "--share": String(most ? value / most : 0) } })),
    h("span", { class: "number muted" }, `${whole(value)} of ${whole(most)}`),
  );
