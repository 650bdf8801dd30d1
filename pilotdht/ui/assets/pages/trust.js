// Who asks for trust, and who has it.

import { h } from "/assets/elements.js";
import { ago } from "/assets/format.js";
import { icon } from "/assets/icons.js";
import { address, beyond, button, card, code, empty, foreign, loading, table, who } from "/assets/parts.js";

const MOST_REASON = 500;

export function view(state, deeds) {
  const { trust } = state.parts;
  if (!trust) return loading();
  return [
    card(
      "Waiting for you",
      { aside: h("span", { class: "muted number" }, String(trust.pending.total)) },
      trust.pending.rows.length
        ? h("ul", { class: "asks" }, trust.pending.rows.map((one) => ask(one, state, deeds)))
        : empty("Nobody is waiting", "Who asks for trust appears here. A peer asks with ", code(`pilotdht handshake ${state.parts.me.hostname || state.parts.me.address} "why"`)),
      beyond(trust.pending, "requests"),
    ),
    request(state, deeds),
    card(
      "Trusted",
      { aside: h("span", { class: "muted number" }, String(trust.trusted.total)) },
      trust.trusted.rows.length ? trusted(trust.trusted.rows, state, deeds) : empty("Nobody is trusted yet", "Until somebody is, others can ask for trust and nothing else."),
      beyond(trust.trusted, "peers"),
    ),
  ];
}

function ask(one, state, deeds) {
  const isRejecting = state.form.rejecting === one.did;
  const reason = state.form.reason ?? "";
  const approving = { target: one.did };
  const rejecting = { target: one.did, reason };
  const name = one.hostname || one.address;
  const isBusy = deeds.isBusy("approve", approving) || deeds.isBusy("reject", rejecting);
  return h(
    "li",
    { key: one.did, class: "ask" },
    h(
      "div",
      { class: "ask-what" },
      who(one.hostname, one.address),
      h("blockquote", {}, one.reason ? foreign(one.reason) : h("span", { class: "muted" }, "gave no reason")),
      h("p", { class: "muted" }, "asked ", ago(one.since, state.now), " · ", h("span", { class: "mono wrap" }, one.did)),
    ),
    isRejecting
      ? h(
          "form",
          {
            class: "ask-acts",
            onsubmit: async (event) => {
              event.preventDefault();
              const now = { target: one.did, reason: event.target.elements[0].value }; // it may be newer than what was drawn
              if (await deeds.act("reject", now, () => `${name} was rejected.`)) deeds.set({ rejecting: null, reason: "" });
            },
          },
          h("input", { type: "text", "aria-label": `Reason for rejecting ${name}`, placeholder: "Reason, if you like", maxlength: MOST_REASON, value: reason, focus: true, oninput: (event) => deeds.set({ reason: event.target.value }) }),
          h("button", { type: "submit", class: "danger", disabled: isBusy }, "Reject"),
          button("Cancel", { class: "quiet", onclick: () => deeds.set({ rejecting: null, reason: "" }) }),
        )
      : h(
          "div",
          { class: "ask-acts" },
          button("Approve", { class: "primary", "aria-label": `Approve ${name}`, disabled: isBusy, onclick: () => deeds.act("approve", approving, () => `${name} is trusted now.`) }, icon("check")),
          button("Reject…", { "aria-label": `Reject ${name}`, disabled: isBusy, onclick: () => deeds.set({ rejecting: one.did, reason: "" }) }),
        ),
  );
}

function request(state, deeds) {
  const target = (state.form.target ?? "").trim();
  const fields = { target, reason: state.form.why ?? "" };
  const isBusy = deeds.isBusy("handshake", fields);
  return card(
    "Ask for trust",
    {},
    h(
      "form",
      {
        class: "toolbar inside",
        onsubmit: async (event) => {
          event.preventDefault();
          const [whom, why] = event.target.elements; // what stands there: it may be newer than what was drawn
          const asked = whom.value.trim();
          const told = (data) => (data.state === "trusted" ? `${asked} trusts you, and you trust it.` : `${asked} was asked, and has to approve.`);
          if (asked && (await deeds.act("handshake", { target: asked, reason: why.value }, told))) deeds.set({ target: "", why: "" });
        },
      },
      h("input", { type: "text", "aria-label": "Whom to ask: hostname, address or did:key", placeholder: "Hostname, address or did:key", maxlength: 256, value: state.form.target ?? "", oninput: (event) => deeds.set({ target: event.target.value }) }),
      h("input", { type: "text", class: "grows", "aria-label": "Why", placeholder: "Why, in a few words", maxlength: MOST_REASON, value: state.form.why ?? "", oninput: (event) => deeds.set({ why: event.target.value }) }),
      h("button", { type: "submit", disabled: isBusy }, isBusy ? "Asking…" : "Ask"),
    ),
  );
}

function trusted(rows, state, deeds) {
  return table(
    "Trusted peers",
    [
      ["Peer", "", (one) => who(one.hostname, one.address)],
      ["Reason", "reason", (one) => (one.reason ? foreign(one.reason) : h("span", { class: "muted" }, "–"))],
      ["Since", "end number", (one) => h("span", {}, ago(one.since, state.now), one.owed ? h("span", { class: "muted" }, ", not told yet") : null)],
      ["", "end deed", (one) => revoke(one, state, deeds)],
    ],
    rows,
    (one) => one.did,
  );
}

function revoke(one, state, deeds) {
  const name = one.hostname || one.address;
  if (state.form.revoking !== one.did) return button("Revoke…", { class: "small", "aria-label": `Revoke trust in ${name}`, onclick: () => deeds.set({ revoking: one.did }) });
  const fields = { target: one.did };
  return h(
    "span",
    { class: "acts" },
    button("Revoke", { class: "small danger", "aria-label": `Yes, revoke trust in ${name} and cut its tunnels`, focus: true, disabled: deeds.isBusy("untrust", fields), onclick: () => deeds.act("untrust", fields, () => `${name} is not trusted any more.`) }),
    button("Keep", { class: "small quiet", onclick: () => deeds.set({ revoking: null }) }),
  );
}
