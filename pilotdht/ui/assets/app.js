// The frame of the page: which part is shown, what is known, what the person at it does.

import { KEPT } from "/assets/chart.js";
import { h, render } from "/assets/elements.js";
import { icon } from "/assets/icons.js";
import { badge, button, code, foreign, loading } from "/assets/parts.js";
import { Live, LoggedOut, act, enter, leave } from "/assets/session.js";
import { view as groups } from "/assets/pages/groups.js";
import { view as lookups } from "/assets/pages/lookups.js";
import { view as network } from "/assets/pages/network.js";
import { view as overview } from "/assets/pages/overview.js";
import { view as peers } from "/assets/pages/peers.js";
import { view as relay } from "/assets/pages/relay.js";
import { view as trust } from "/assets/pages/trust.js";

const PAGES = {
  overview: ["Overview", overview],
  peers: ["Peers", peers],
  network: ["Network", network],
  groups: ["Groups", groups],
  lookups: ["Lookups", lookups],
  trust: ["Trust", trust],
  relay: ["Relay", relay],
};
const THEMES = ["auto", "light", "dark"];
const KEPT_NEWS = 150;
const KEPT_LOOKUPS = 32;
const NOTICE_S = 8;

const state = {
  page: "overview",
  group: "",
  connection: "opening",
  locked: "",
  theme: localStorage.getItem("pilotdht-theme") ?? "auto",
  skew: 0,
  now: Date.now() / 1000,
  parts: {},
  traffic: [],
  news: new Map(),
  lookups: new Map(),
  busy: new Set(),
  form: {},
  notice: null,
};
let live = null;
let isDrawing = false;

/** What pages may do. */
const deeds = {
  draw,
  go,
  set(changes) {
    Object.assign(state.form, changes);
    draw();
  },
  showGroup(name) {
    if (state.group === name) return;
    state.group = name;
    listen();
    draw();
  },
  notify(text, kind = "good") {
    state.notice = { text, kind, until: Date.now() / 1000 + NOTICE_S };
    draw();
  },
  /** Have the daemon do something; the same thing is not asked for twice at a time. */
  async act(deed, fields, said) {
    const name = `${deed} ${JSON.stringify(fields)}`;
    if (state.busy.has(name)) return null;
    state.busy.add(name);
    draw();
    try {
      const data = await act(deed, fields);
      if (said) deeds.notify(said(data));
      return data;
    } catch (error) {
      if (error instanceof LoggedOut) lock("");
      else deeds.notify(error.hint ? `${error.message}. ${sentence(error.hint)}` : error.message, "bad");
      return null;
    } finally {
      state.busy.delete(name);
      draw();
    }
  },
  isBusy: (deed, fields) => state.busy.has(`${deed} ${JSON.stringify(fields)}`),
};

const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;

function go(page, group) {
  if (group !== undefined) state.group = group;
  if (location.pathname !== `/${page}`) history.pushState(null, "", `/${page}`);
  show(page);
  document.getElementById("main")?.focus({ preventScroll: true });
  window.scrollTo(0, 0);
}

function show(page) {
  state.page = PAGES[page] ? page : "overview";
  state.form = {};
  listen();
  draw();
}

function listen() {
  live?.close();
  live = null;
  if (state.connection === "locked" || document.hidden) return;
  const query = { page: state.page };
  if (state.page === "groups" && state.group) query.group = state.group;
  live = new Live(query, { onLine: hear, onState: connection });
}

function connection(now) {
  if (now === "locked") return lock("");
  if (now === "live") {
    state.news = new Map(); // the daemon begins anew, and may be another one than before
    state.lookups = new Map();
  }
  state.connection = now;
  draw();
}

function lock(reason) {
  live?.close();
  live = null;
  state.connection = "locked";
  state.locked = reason;
  state.parts = {};
  draw();
}

function hear(line) {
  const { now, traffic, news, lookups, ...parts } = line;
  state.skew = now - Date.now() / 1000;
  Object.assign(state.parts, parts);
  if (traffic) count(traffic);
  for (const one of news ?? []) state.news.set(one.id, one);
  for (const one of lookups ?? []) state.lookups.set(one.number, one);
  trim(state.news, KEPT_NEWS);
  trim(state.lookups, KEPT_LOOKUPS);
  const known = state.parts.groups?.rows;
  if (state.page === "groups" && known && !known.some((one) => one.name === state.group)) {
    const first = known[0]?.name ?? "";
    if (first !== state.group) deeds.showGroup(first);
  }
  draw();
}

function trim(kept, most) {
  for (const key of kept.keys()) {
    if (kept.size <= most) break;
    kept.delete(key);
  }
}

function count(total) {
  const before = state.total;
  state.total = total;
  if (!before || total.at_s <= before.at_s || total.received_bytes < before.received_bytes) return;
  const seconds = total.at_s - before.at_s;
  if (seconds > 10) state.traffic = [];
  else state.traffic.push({ received: (total.received_bytes - before.received_bytes) / seconds, sent: (total.sent_bytes - before.sent_bytes) / seconds });
  state.traffic = state.traffic.slice(-KEPT);
}

function draw() {
  if (isDrawing) return;
  isDrawing = true;
  requestAnimationFrame(() => {
    isDrawing = false;
    state.now = Date.now() / 1000 + state.skew;
    if (state.notice && state.notice.until < Date.now() / 1000) state.notice = null;
    const me = state.parts.me;
    document.title = me ? `${PAGES[state.page][0]} · ${me.hostname || me.address} · pilotdht` : "pilotdht";
    render(document.getElementById("root"), state.connection === "locked" ? gate() : frame(me));
    render(document.getElementById("notice"), state.notice ? h("p", { class: `toast ${state.notice.kind}` }, state.notice.text) : null);
  });
}

function gate() {
  return h(
    "main",
    { class: "gate", id: "main", tabindex: -1 },
    h("img", { src: "/assets/icon.svg", alt: "", width: 48, height: 48 }),
    h("h1", {}, "Log in from the command line"),
    state.locked ? h("p", { class: "reason", role: "alert" }, sentence(state.locked)) : null,
    h("p", {}, "This page belongs to whoever runs the daemon. For a link that opens it once, type"),
    h("pre", {}, "pilotdht ui"),
  );
}

function frame(me) {
  const [title, view] = PAGES[state.page];
  return [
    h("aside", { class: "rail" }, brand(me), navigation(me), footer()),
    h(
      "main",
      { id: "main", tabindex: -1, class: `page page-${state.page}` },
      state.connection === "lost" ? h("p", { class: "banner", role: "alert" }, "The daemon does not answer. Trying again… If it was stopped, start it and type ", code("pilotdht ui"), ".") : null,
      h("header", { class: "title" }, h("h1", {}, title), status(me)),
      me ? view(state, deeds) : loading(),
    ),
  ];
}

function brand(me) {
  return h(
    "div",
    { class: "brand" },
    h("img", { src: "/assets/icon.svg", alt: "", width: 28, height: 28 }),
    h("div", {}, h("strong", {}, me?.hostname ? foreign(me.hostname) : "pilotdht"), h("span", { class: "mono muted" }, me?.address ?? "")),
  );
}

function navigation(me) {
  const counts = { peers: me?.tunnels, groups: me?.groups, trust: me?.pending };
  return h(
    "nav",
    { "aria-label": "Pages" },
    Object.entries(PAGES).map(([page, [title]]) =>
      h(
        "a",
        {
          key: page,
          href: `/${page}`,
          "aria-current": page === state.page ? "page" : null,
          onclick: (event) => {
            if (event.ctrlKey || event.metaKey || event.shiftKey) return;
            event.preventDefault();
            go(page);
          },
        },
        icon(page),
        h("span", {}, title),
        counts[page] ? h("span", { class: `count ${page === "trust" ? "call" : ""}`, "aria-label": page === "trust" ? `${counts[page]} waiting` : null }, counts[page]) : null,
      ),
    ),
  );
}

function footer() {
  const next = THEMES[(THEMES.indexOf(state.theme) + 1) % THEMES.length];
  return h(
    "div",
    { class: "rail-end" },
    button(`Theme: ${state.theme}`, { class: "quiet", "aria-label": `Theme: ${state.theme}. Change to ${next}.`, onclick: () => useTheme(next) }, icon("theme")),
    button("Log out", { class: "quiet", onclick: () => leave().finally(() => lock("")) }, icon("leave")),
  );
}

function status(me) {
  if (state.connection === "lost") return badge("bad", "Not connected");
  if (!me) return null;
  return me.is_joined ? badge("direct", me.is_server ? "Joined, serves others" : "Joined, client only") : badge("relayed", "Alone: knows no other node");
}

function useTheme(theme) {
  state.theme = theme;
  localStorage.setItem("pilotdht-theme", theme);
  document.documentElement.dataset.theme = theme;
  draw();
}

async function begin() {
  useTheme(THEMES.includes(state.theme) ? state.theme : "auto");
  const refused = await enter();
  if (refused) return lock(refused);
  window.addEventListener("popstate", () => show(location.pathname.slice(1)));
  window.addEventListener("hashchange", async () => {
    const reason = await enter();
    if (reason) lock(reason);
    else if (state.connection === "locked") {
      state.connection = "opening";
      show(state.page);
    }
  });
  document.addEventListener("visibilitychange", listen);
  window.addEventListener("resize", draw); // the map sets its labels apart by what fits
  setInterval(() => document.hidden || draw(), 1000); // ages grow by themselves
  show(location.pathname.slice(1) || "overview");
}

begin();
