// A chart of what comes in and goes out, over the last two minutes.

import { h } from "/assets/elements.js";
import { rate } from "/assets/format.js";

export const KEPT = 120;
const WIDTH = 600;
const HEIGHT = 120;

/** The next power of two or ten-fold that makes a calm upper end of the scale. */
function roof(most) {
  const wanted = Math.max(most, 1000);
  const decade = 10 ** Math.floor(Math.log10(wanted));
  return [1, 2, 5, 10].map((step) => step * decade).find((end) => end >= wanted);
}

function line(points, top) {
  const offset = KEPT - points.length;
  return points.map((value, index) => `${index ? "L" : "M"}${(((index + offset) / (KEPT - 1)) * WIDTH).toFixed(1)} ${(HEIGHT - (value / top) * (HEIGHT - 6)).toFixed(1)}`).join("");
}

export function traffic(history) {
  const received = history.map((point) => point.received);
  const sent = history.map((point) => point.sent);
  const top = roof(Math.max(0, ...received, ...sent));
  const last = history.at(-1) ?? { received: 0, sent: 0 };
  const start = ((KEPT - history.length) / (KEPT - 1)) * WIDTH;
  const area = received.length > 1 ? `${line(received, top)}L${WIDTH} ${HEIGHT}L${start.toFixed(1)} ${HEIGHT}Z` : "";
  return h(
    "figure",
    { class: "chart" },
    h(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": `Received ${rate(last.received)}, sent ${rate(last.sent)}` },
      [0.25, 0.5, 0.75].map((share) => h("line", { class: "grid", x1: 0, x2: WIDTH, y1: HEIGHT * share, y2: HEIGHT * share })),
      h("path", { class: "area", d: area || "M0 0" }),
      h("path", { class: "line in", d: line(received, top) || "M0 0" }),
      h("path", { class: "line out", d: line(sent, top) || "M0 0" }),
    ),
    h("figcaption", {}, h("span", { class: "muted" }, "2 minutes ago"), h("span", { class: "muted" }, `scale: 0 to ${rate(top)}`), h("span", { class: "muted" }, "now")),
  );
}
