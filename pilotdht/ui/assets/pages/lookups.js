// Walks through the DHT as they run: whom a lookup asked, when, and how close each of them is to what it looks for.

import { h } from "/assets/elements.js";
import { clock, millis, plural } from "/assets/format.js";
import { icon } from "/assets/icons.js";
import { badge, button, card, empty, who } from "/assets/parts.js";

const PURPOSES = { FindNode: "Find nodes", FindRecord: "Read a record", FindEntries: "Read entries" };
const ENDINGS = { closest_answered: ["direct", "Closest answered"], satisfied: ["direct", "Found"], exhausted: ["plain", "All known asked"], request_bound: ["relayed", "Too many requests"], deadline: ["bad", "Out of time"], cancelled: ["plain", "Not wanted any more"] };
const STATES = { answered: "answered", silent: "no answer", waiting: "waiting", abandoned: "not waited for" };

export function view(state, deeds) {
  const lookups = [...state.lookups.values()].sort((one, other) => other.number - one.number);
  const chosen = lookups.find((one) => one.number === state.form.chosen) ?? lookups[0];
  return [
    form(state, deeds),
    lookups.length
      ? h("div", { class: "split narrow-left" }, listed(lookups, chosen, deeds), waterfall(chosen, state.parts.names ?? {}))
      : card("Lookups", {}, empty("Nothing is being looked up", "A node looks up names, tags and records when it is asked to, and refreshes its neighbourhood now and then. Look something up above, and watch.")),
  ];
}

function wish(typed) {
  const text = (typed ?? "").trim();
  if (!text.startsWith("#")) return { text, deed: "find", fields: { target: text } };
  return { text, deed: "find-tag", fields: { tag: text.slice(1) } };
}

function form(state, deeds) {
  const { deed, fields } = wish(state.form.target);
  const found = (data) => `Found ${data.hostname || data.address} at ${data.endpoints[0] ?? "no endpoint"}.`;
  const tagged = (data) => `${plural(data.peers.length, "peer")} found with that tag.`;
  return h(
    "form",
    {
      class: "toolbar",
      role: "search",
      onsubmit: (event) => {
        event.preventDefault();
        const now = wish(event.target.elements[0].value); // what stands there: it may be newer than what was drawn
        if (now.text) deeds.act(now.deed, now.fields, now.deed === "find" ? found : tagged);
      },
    },
    h("input", { type: "search", placeholder: "Hostname, address or #tag", "aria-label": "Look up a hostname, address or #tag", maxlength: 256, value: state.form.target ?? "", oninput: (event) => deeds.set({ target: event.target.value }) }),
    h("button", { type: "submit", class: "primary", disabled: deeds.isBusy(deed, fields) }, icon("lookups"), h("span", {}, deeds.isBusy(deed, fields) ? "Looking…" : "Look up")),
  );
}

function listed(lookups, chosen, deeds) {
  return card(
    "Latest",
    { aside: h("span", { class: "live" }, h("i", { class: "dot", "aria-hidden": "true" }), "live") },
    h(
      "ul",
      { class: "choices scroll" },
      lookups.map((one) =>
        h(
          "li",
          { key: one.number },
          h(
            "button",
            { type: "button", "aria-pressed": one === chosen ? "true" : "false", onclick: () => deeds.set({ chosen: one.number }) },
            h("span", { class: "choice-head" }, h("b", {}, PURPOSES[one.purpose] ?? one.purpose), h("span", { class: "muted number" }, clock(one.began))),
            h("span", { class: "mono muted" }, `${one.target.slice(0, 16)}…`),
            h("span", { class: "choice-foot" }, ending(one), h("span", { class: "muted number" }, one.duration_s === null ? "" : millis(one.duration_s))),
          ),
        ),
      ),
    ),
  );
}

const ending = (one) => (one.ending === null ? badge("running", "Running") : badge(...(ENDINGS[one.ending] ?? ["plain", one.ending])));

function waterfall(one, names) {
  const span = Math.max(one.duration_s ?? 0, ...one.requests.map((request) => request.ended_s ?? request.asked_s), 0.0005);
  return card(
    "Requests",
    { aside: h("span", { class: "muted number" }, `${plural(one.requests.length, "request")}, ${plural(one.hops, "hop")}`) },
    h("p", { class: "summary" }, h("span", { class: "muted" }, "towards"), h("span", { class: "mono wrap" }, one.target), ending(one)),
    one.requests.length
      ? h(
          "ol",
          { class: "waterfall" },
          h("li", { class: "scale muted number", key: "scale", "aria-hidden": "true" }, h("span", {}, "asked node"), h("span", { class: "track" }, h("span", {}, "0"), h("span", {}, millis(span / 2)), h("span", {}, millis(span))), h("span", { class: "end" }, "took"), h("span", { class: "end", title: "Leading bits shared with the target: the more, the closer" }, "bits")),
          one.requests.map((request, index) => row(request, index, span, names)),
        )
      : empty("Answered from memory", "This node knew the answer, or knows nobody to ask."),
    one.left_out ? h("p", { class: "muted beyond" }, `${one.left_out} more requests are not shown.`) : null,
  );
}

function row(request, index, span, names) {
  const end = request.ended_s ?? span;
  const vars = { "--from": (request.asked_s / span).toFixed(4), "--to": (end / span).toFixed(4) };
  const took = request.ended_s === null ? "…" : millis(request.ended_s - request.asked_s);
  return h(
    "li",
    { key: index },
    who(names[request.address], request.address),
    h("span", { class: "track", role: "img", "aria-label": `${STATES[request.state]}${request.is_slow ? ", asked twice" : ""}` }, h("span", { class: `span ${request.state} ${request.is_slow ? "slow" : ""}`, vars })),
    h("span", { class: "end number" }, took),
    h("span", { class: "end number muted" }, String(request.shared_bits)),
  );
}
