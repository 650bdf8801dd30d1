// The groups of this node: who is in them, who comes and goes, what is said.

import { h } from "/assets/elements.js";
import { ago, bytes, clock, day, millis } from "/assets/format.js";
import { address, badge, beyond, card, code, empty, foreign, loading, table, who } from "/assets/parts.js";

const KINDS = { open: "open to all", token: "by shared secret", invite: "by invitation", org: "organisation" };
const ROLES = { member: "a member", admin: "an admin", owner: "the owner" };
const STATES = { alive: ["direct", "Alive"], suspect: ["relayed", "Suspect"], dead: ["bad", "Gone"], left: ["plain", "Left"] };
const CHANGES = { joined: ["direct", "joined"], left: ["plain", "left"], failed: ["bad", "does not answer any more"], updated: ["plain", "changed what it says of itself"], expelled: ["bad", "was expelled"] };

export function view(state, deeds) {
  const { groups } = state.parts;
  if (!groups) return loading();
  if (!groups.rows.length) return card("Groups", {}, empty("In no group", "Members of a group know who is there, and hear what is said to all. Join or begin one: ", code("pilotdht group join NAME")));
  const chosen = groups.rows.find((group) => group.name === state.group) ?? groups.rows[0];
  return [
    h(
      "div",
      { class: "tabs", role: "tablist", "aria-label": "Groups" },
      groups.rows.map((group, index) =>
        h(
          "button",
          {
            key: group.group_id,
            type: "button",
            role: "tab",
            id: `tab-${group.group_id}`,
            "aria-controls": "group-panel",
            "aria-selected": group === chosen ? "true" : "false",
            tabindex: group === chosen ? 0 : -1,
            onclick: () => deeds.showGroup(group.name),
            onkeydown: (event) => turn(event, groups.rows, index, deeds),
          },
          foreign(group.name),
          h("span", { class: "count" }, group.alive),
        ),
      ),
    ),
    h("div", { id: "group-panel", role: "tabpanel", "aria-labelledby": `tab-${chosen.group_id}`, key: chosen.group_id }, summary(chosen), h("div", { class: "split wide-left" }, members(state, chosen), news(state))),
  ];
}

function turn(event, rows, index, deeds) {
  const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!by) return;
  event.preventDefault();
  const next = (index + by + rows.length) % rows.length;
  event.currentTarget.parentNode.children[next].focus();
  deeds.showGroup(rows[next].name);
}

function summary(group) {
  return h(
    "p",
    { class: "summary" },
    badge("direct", `${group.alive} alive`),
    group.suspect ? badge("relayed", `${group.suspect} suspect`) : null,
    group.dead ? badge("bad", `${group.dead} gone`) : null,
    h("span", { class: "muted" }, KINDS[group.kind] ?? group.kind),
    h("span", { class: "muted" }, group.is_expelled ? "you were expelled" : `you are ${ROLES[group.role] ?? group.role}`),
    group.expires_s ? h("span", { class: "muted" }, `certificate until ${day(group.expires_s)}`) : null,
  );
}

function members(state, chosen) {
  const part = state.parts.members;
  if (!part || part.group !== chosen.name) return card("Members", {}, loading());
  return card(
    "Members",
    { aside: h("span", { class: "muted number" }, String(part.total)) },
    table(
      `Members of ${chosen.name}`,
      [
        ["Member", "", (one) => who(one.hostname, one.address, { isSelf: one.is_self })],
        ["State", "", (one) => badge(...(STATES[one.status] ?? ["plain", one.status]))],
        ["Answers", "", (one) => (one.capabilities.length ? h("span", { class: "chips" }, one.capabilities.map((name) => h("span", { key: name, class: "chip" }, foreign(name)))) : h("span", { class: "muted" }, "–"))],
        ["Load", "end number", (one) => (one.load === null ? "–" : `${one.load} %`)],
        ["Round trip", "end number", (one) => (one.is_self ? "–" : millis(one.rtt_s))],
        ["Since", "end number", (one) => ago(one.since, state.now)],
      ],
      part.rows,
      (one) => one.did,
    ),
    beyond(part, "members"),
  );
}

function news(state) {
  const latest = [...state.news.values()].sort((one, other) => other.at - one.at);
  return card(
    "Events",
    { aside: state.parts.missed ? h("span", { class: "muted number" }, `${state.parts.missed} missed`) : h("span", { class: "live" }, h("i", { class: "dot", "aria-hidden": "true" }), "live") },
    latest.length
      ? h("div", { class: "scroll", role: "log", "aria-label": "Events", tabindex: 0 }, h("ol", { class: "events" }, latest.map(happening)))
      : empty("Nothing was said yet", "Messages to the group appear here as they come: ", code(`pilotdht broadcast ${state.group || "GROUP"} "hello"`)),
  );
}

function happening(one) {
  const author = one.hostname ? foreign(one.hostname, "name") : address(one.address);
  if (one.what !== "message") {
    const [kind, words] = CHANGES[one.what] ?? ["plain", one.what];
    return h("li", { key: one.id, class: `event change ${kind}` }, h("p", {}, h("i", { class: "dot", "aria-hidden": "true" }), author, ` ${words}`), h("time", { class: "muted number" }, clock(one.at)));
  }
  return h(
    "li",
    { key: one.id, class: "event" },
    h("p", { class: "event-head" }, author, h("span", { class: "chip" }, foreign(one.topic)), h("time", { class: "muted number" }, clock(one.at))),
    one.is_text ? h("p", { class: "said" }, foreign(one.text)) : h("p", { class: "said muted" }, `${bytes(one.size_bytes)} that are no text: `, h("span", { class: "mono" }, one.text)),
  );
}
