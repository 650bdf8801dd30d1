// Pieces that several pages are made of.

import { h } from "/assets/elements.js";
import { icon } from "/assets/icons.js";
import { millis } from "/assets/format.js";

/** A text that somebody else chose: kept apart from the direction of what is around it. */
export const foreign = (text, kind) => h("bdi", { class: kind, title: text }, text);

export const address = (text) => h("span", { class: "mono address" }, text);

/** A peer: its name if it has one, its address below or alone. */
export function who(name, peer, { isTrusted = false, isSelf = false } = {}) {
  return h(
    "span",
    { class: "who" },
    name ? foreign(name, "name") : null,
    isTrusted ? h("span", { class: "seal", title: "trusted", role: "img", "aria-label": "trusted" }, icon("check")) : null,
    isSelf ? h("span", { class: "you" }, "this node") : null,
    address(peer),
  );
}

export const badge = (kind, ...text) => h("span", { class: `badge ${kind}` }, h("i", { class: "dot", "aria-hidden": "true" }), ...text);

/** What a tunnel's peer is called, as far as this node knows. */
export const nameOf = (link, names) => link.hostname || names?.[link.address] || "";

const TRUNK = "trunk via ";
const ROADS = { lan: "Local network", direct: "Direct", relayed: "Relayed" };

/** Whether datagrams go straight to the peer, or somebody carries them: the colour of a road. */
export const roadKind = (link) => (link.road === "direct" || link.road === "lan" ? "direct" : "relayed");

export const roadBadge = (link) => badge(roadKind(link), ROADS[link.road] ?? (link.road.startsWith(TRUNK) ? "Over TCP" : link.road));

export function road(link, names) {
  const via = link.relay ?? (link.road.startsWith(TRUNK) ? link.road.slice(TRUNK.length) : null);
  if (!via) return roadBadge(link);
  return h("span", { class: "road" }, roadBadge(link), h("span", { class: "via" }, " via ", names?.[via] ? foreign(names[via]) : address(via)));
}

export const card = (title, props, ...children) =>
  h(
    "section",
    { class: `card ${props?.class ?? ""}`, "aria-label": title, key: props?.key },
    h("header", { class: "card-head" }, h("h2", {}, title), props?.aside ?? null),
    ...children,
  );

export const tile = (label, value, detail) =>
  h("div", { class: "tile" }, h("dt", {}, label), h("dd", {}, h("span", { class: "figure" }, value), detail ? h("span", { class: "detail" }, detail) : null));

/** What is said where there is nothing: what would be here, and how it gets here. */
export const empty = (title, ...hint) => h("div", { class: "empty" }, h("p", { class: "empty-title" }, title), h("p", {}, ...hint));

export const code = (text) => h("code", {}, text);

/** A table that turns into cards on narrow screens. Columns: [title, class, cell(row)]. */
export function table(label, columns, rows, keyOf) {
  return h(
    "table",
    { "aria-label": label },
    h("thead", {}, h("tr", {}, columns.map(([title, kind]) => h("th", { scope: "col", class: kind }, title)))),
    h(
      "tbody",
      {},
      rows.map((row) =>
        h("tr", { key: keyOf(row) }, columns.map(([title, kind, cell]) => h("td", { class: kind, "data-label": title }, h("div", { class: "cell" }, cell(row))))),
      ),
    ),
  );
}

export const beyond = (part, what) =>
  part && part.total > part.rows.length ? h("p", { class: "muted beyond" }, `${part.total - part.rows.length} more ${what} are not shown.`) : null;

/** A round trip with a bar on a logarithmic scale from 0.1 ms to 1 s. */
export function trip(seconds) {
  if (seconds === null || seconds === undefined) return h("span", { class: "muted" }, "not measured");
  const share = Math.min(1, Math.max(0.04, (Math.log10(seconds * 1000) + 1) / 4));
  return h("span", { class: "trip" }, h("span", { class: "number" }, millis(seconds)), h("span", { class: "bar", vars: { "--share": share.toFixed(3) }, "aria-hidden": "true" }));
}

export const loading = () => h("div", { class: "loading", role: "status" }, h("span", { class: "muted" }, "Asking the daemon…"));

export const MARKS = { good: "direct", notice: "plain", warning: "relayed", error: "bad" };

export const findings = (check) =>
  h(
    "ul",
    { class: "findings" },
    check.findings.map((finding) =>
      h(
        "li",
        { key: finding.code, class: MARKS[finding.severity] },
        h("i", { class: "dot", role: "img", "aria-label": finding.severity }),
        h("div", {}, h("p", {}, finding.sentence), finding.advice ? h("p", { class: "muted" }, finding.advice) : null),
      ),
    ),
  );

export const button = (label, props, ...icons) => h("button", { type: "button", ...props }, ...icons, h("span", {}, label));

export const facts = (rows) =>
  h("dl", { class: "facts" }, rows.filter(([, value]) => value !== null && value !== "").map(([name, value]) => h("div", { key: name }, h("dt", {}, name), h("dd", {}, value))));
