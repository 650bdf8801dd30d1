// Icons, drawn with strokes on a grid of 20.

import { h } from "/assets/elements.js";

const PATHS = {
  overview: "M3 10.5 10 4l7 6.5M5 9v7h10V9",
  peers: "M7.5 9a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5ZM2.5 16c.4-2.8 2.4-4.3 5-4.3s4.6 1.5 5 4.3M13 4.3a2.4 2.4 0 0 1 0 4.5M14.5 11.9c1.700.5 2.700 1.9 3 4.1",
  network: "M10 10 4.5 5.5M10 10l6-3M10 10l1 6.5M10 12a2 2 0 1 0 0-4 2 2 0 0 0 0 4ZM4 6.5a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3ZM16.5 8a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3ZM11.3 18a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3Z",
  groups: "M3 5.5h14v7.5H9.5L6 16v-3H3ZM6.5 8.2h7M6.5 10.4h4.5",
  lookups: "M9 14.5a5.5 5.5 0 1 0 0-11 5.5 5.5 0 0 0 0 11ZM13 13l4 4",
  trust: "M10 3 4 5.2v4.6c0 3.5 2.4 5.9 6 7.2 3.6-1.3 6-3.700 6-7.2V5.2ZM7.3 10l2 2 3.5-3.800",
  relay: "M3 6.5h11M11 3.5l3 3-3 3M17 13.5H6M9 10.5l-3 3 3 3",
  theme: "M10 3a7 7 0 1 0 0 14ZM10 3a7 7 0 0 1 0 14",
  leave: "M8 4H4v12h4M11.5 6.5 15 10l-3.5 3.5M15 10H7.5",
  copy: "M7.5 7.5h8v8h-8ZM4.5 12.5v-8h8",
  check: "m4.5 10.5 3.700 3.700 7.3-8",
  direct: "M3 10h13M12 6l4 4-4 4",
  in: "M10 4v11M5.5 10.5 10 15l4.5-4.5",
  out: "M10 16V5M5.5 9.5 10 5l4.5 4.5",
};

export function icon(name, extra) {
  return h(
    "svg",
    { class: `icon ${extra ?? ""}`, viewBox: "0 0 20 20", "aria-hidden": "true", focusable: "false" },
    h("path", { d: PATHS[name] }),
  );
}
