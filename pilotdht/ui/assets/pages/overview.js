// This node, what asks for attention, what goes through it.

import { traffic } from "/assets/chart.js";
import { h } from "/assets/elements.js";
import { duration, rate, whole } from "/assets/format.js";
import { icon } from "/assets/icons.js";
import { address, badge, button, card, code, empty, facts, findings, foreign, nameOf, roadBadge, tile, trip, who } from "/assets/parts.js";

const SHOWN = 6;

export function view(state, deeds) {
  const { me, tunnels, names, groups, trust, netcheck } = state.parts;
  return h(
    "div",
    { class: "grid" },
    trust?.pending.rows.length ? asks(trust.pending, deeds) : null,
    h(
      "dl",
      { class: "tiles wide" },
      tile("Tunnels", whole(me.tunnels), me.tunnels ? me.relayed ? `${me.tunnels - me.relayed} direct, ${me.relayed} carried by others` : "all direct" : "none open"),
      tile("Peers known", whole(me.peers), me.mesh_size ? `of about ${whole(me.mesh_size)} in the mesh` : null),
      tile("Records kept", whole(me.records), "for others"),
      tile("Up for", duration(state.now - me.started), `version ${me.version}`),
    ),
    flow(state),
    h("div", { class: "stack" }, tunnels ? links(tunnels, names, deeds) : null, groups ? memberships(groups, deeds) : null),
    h("div", { class: "stack" }, netcheck ? card("Reachability", {}, findings(netcheck)) : null, self(me, deeds)),
  );
}

function asks(pending, deeds) {
  const [first] = pending.rows;
  const more = pending.total - 1;
  return h(
    "section",
    { class: "card call wide", "aria-label": "Waiting for you" },
    icon("trust"),
    h("p", {}, first.hostname ? foreign(first.hostname, "name") : address(first.address), more ? ` and ${more} more ask for trust.` : " asks for trust."),
    button("Review", { class: "primary", onclick: () => deeds.go("trust") }),
  );
}

function flow(state) {
  const last = state.traffic.at(-1);
  return card(
    "Traffic",
    {
      class: "wide",
      aside: h(
        "div",
        { class: "legend" },
        h("span", { class: "in" }, icon("in"), "In ", h("b", { class: "number" }, rate(last?.received ?? 0))),
        h("span", { class: "out" }, icon("out"), "Out ", h("b", { class: "number" }, rate(last?.sent ?? 0))),
      ),
    },
    traffic(state.traffic),
  );
}

function links(tunnels, names, deeds) {
  return card(
    "Tunnels",
    { aside: tunnels.total > SHOWN ? button(`All ${tunnels.total}`, { class: "quiet", onclick: () => deeds.go("peers") }) : null },
    tunnels.rows.length
      ? h(
          "ul",
          { class: "lines" },
          tunnels.rows.slice(0, SHOWN).map((link) => h("li", { key: link.address }, who(nameOf(link, names), link.address, { isTrusted: link.is_trusted }), h("span", { class: "line-end" }, trip(link.rtt_s), roadBadge(link)))),
        )
      : empty("No tunnels yet", "A tunnel opens when an agent talks to another: ", code("pilotdht connect HOSTNAME")),
  );
}

function memberships(groups, deeds) {
  return card(
    "Groups",
    {},
    groups.rows.length
      ? h(
          "ul",
          { class: "lines" },
          groups.rows.slice(0, SHOWN).map((group) =>
            h(
              "li",
              { key: group.group_id },
              h("button", { type: "button", class: "link", onclick: () => deeds.go("groups", group.name) }, foreign(group.name, "name")),
              h("span", { class: "line-end" }, h("span", { class: "muted number" }, `${group.alive} alive`), group.suspect ? badge("relayed", `${group.suspect} suspect`) : null, group.dead ? badge("bad", `${group.dead} gone`) : null),
            ),
          ),
        )
      : empty("In no group", "Join or begin one: ", code("pilotdht group join NAME")),
  );
}

function self(me, deeds) {
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(me.did);
      deeds.notify("Identity copied.");
    } catch {
      deeds.notify("The browser does not let the page copy. Mark the identity and copy it yourself.", "bad");
    }
  };
  return card(
    "This node",
    { aside: button("Copy identity", { class: "quiet", onclick: copy }, icon("copy")) },
    facts([
      ["Hostname", me.hostname ? foreign(me.hostname) : h("span", { class: "muted" }, "none: found by address only")],
      ["Address", address(me.address)],
      ["Identity", h("span", { class: "mono wrap" }, me.did)],
      ["Tags", me.tags.length ? h("span", { class: "chips" }, me.tags.map((tag) => h("span", { class: "chip", key: tag }, foreign(tag)))) : ""],
      ["Found at", h("span", { class: "mono wrap" }, me.endpoints.join(", ") || "nowhere yet")],
      ["Mesh", me.trunk ? h("span", {}, "reached over TCP, through ", address(me.trunk)) : ""],
      ["Process", h("span", { class: "number" }, String(me.pid))],
      ["Log", h("span", { class: "mono wrap" }, me.log)],
    ]),
  );
}
