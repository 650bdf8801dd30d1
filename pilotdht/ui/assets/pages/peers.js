// Whom there is a tunnel to, on which road; and whom this node knows besides.

import { h } from "/assets/elements.js";
import { ago, bytes, duration } from "/assets/format.js";
import { address, beyond, button, card, code, empty, loading, nameOf, road, table, trip, who } from "/assets/parts.js";

export function view(state, deeds) {
  const { tunnels, contacts, names } = state.parts;
  if (!tunnels || !contacts) return loading();
  const wanted = (state.form.filter ?? "").trim().toLowerCase();
  const fits = (...texts) => !wanted || texts.some((text) => text?.toLowerCase().includes(wanted));
  const links = tunnels.rows.filter((link) => fits(nameOf(link, names), link.address, link.endpoint));
  const known = contacts.rows.filter((contact) => fits(names?.[contact.address], contact.address, contact.endpoint));
  return [
    h(
      "div",
      { class: "toolbar" },
      h("input", {
        type: "search",
        placeholder: "Filter by name, address or endpoint",
        "aria-label": "Filter peers",
        value: state.form.filter ?? "",
        oninput: (event) => deeds.set({ filter: event.target.value }),
      }),
    ),
    card("Tunnels", { aside: h("span", { class: "muted number" }, `${links.length} of ${tunnels.total}`) }, links.length ? tunnelTable(links, names, state, deeds) : noTunnels(wanted), beyond(tunnels, "tunnels")),
    card(
      "Known peers",
      { aside: h("span", { class: "muted number" }, `${known.length} of ${contacts.total}`) },
      known.length ? contactTable(known, names, state) : empty(wanted ? "None fits the filter" : "No peers known", wanted ? "Change or empty it." : "Start the daemon with a node to join through: ", wanted ? null : code("--bootstrap HOST:PORT")),
      beyond(contacts, "peers"),
    ),
  ];
}

const noTunnels = (wanted) => (wanted ? empty("None fits the filter", "Change or empty it.") : empty("No tunnels", "One opens when an agent talks to another: ", code("pilotdht ping HOSTNAME")));

function tunnelTable(links, names, state, deeds) {
  const ping = async (link) => {
    const fields = { target: link.address };
    await deeds.act("ping", fields, (data) => `${nameOf(link, names) || link.address} answered in ${(data.rtt_s * 1000).toFixed(1)} ms.`);
  };
  return table(
    "Tunnels",
    [
      ["Peer", "", (link) => who(nameOf(link, names), link.address, { isTrusted: link.is_trusted })],
      ["Road", "", (link) => road(link, names)],
      ["Round trip", "end", (link) => trip(link.rtt_s)],
      ["In", "end number", (link) => bytes(link.received_bytes)],
      ["Out", "end number", (link) => bytes(link.sent_bytes)],
      ["Streams", "end number", (link) => String(link.streams)],
      ["Open for", "end number", (link) => duration(state.now - link.since)],
      ["", "end deed", (link) => button("Ping", { class: "small", "aria-label": `Ping ${nameOf(link, names) || link.address}`, disabled: deeds.isBusy("ping", { target: link.address }), onclick: () => ping(link) })],
    ],
    links,
    (link) => link.address,
  );
}

const contactTable = (known, names, state) =>
  table(
    "Known peers",
    [
      ["Peer", "", (contact) => who(names?.[contact.address], contact.address)],
      ["Endpoint", "", (contact) => address(contact.endpoint)],
      ["Round trip", "end", (contact) => trip(contact.rtt_s)],
      ["Answered", "end number", (contact) => ago(contact.seen, state.now)],
    ],
    known,
    (contact) => contact.address,
  );
