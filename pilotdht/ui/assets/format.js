// Numbers as people read them: always with their unit, never with more digits than they are worth.

export const ABSENT = "–";

export function bytes(count) {
  let value = count;
  for (const unit of ["B", "kB", "MB", "GB"]) {
    if (value < 1000 || unit === "GB") return unit === "B" ? `${value} B` : `${value < 10 ? value.toFixed(1) : Math.round(value)} ${unit}`;
    value /= 1000;
  }
}

export const rate = (perSecond) => `${bytes(Math.round(perSecond))}/s`;

export function millis(seconds) {
  if (seconds === null || seconds === undefined) return ABSENT;
  const value = seconds * 1000;
  if (value >= 1000) return `${(value / 1000).toFixed(1)} s`;
  return `${value >= 10 ? Math.round(value) : value >= 1 ? value.toFixed(1) : value.toFixed(2)} ms`;
}

export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

export const ago = (moment, now) => (now - moment < 5 ? "just now" : `${duration(now - moment)} ago`);

export const plural = (count, one, many) => `${count.toLocaleString("en")} ${count === 1 ? one : (many ?? `${one}s`)}`;

export const whole = (count) => (count === null || count === undefined ? ABSENT : count.toLocaleString("en"));

export function clock(moment) {
  const date = new Date(moment * 1000);
  return date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
}

export function day(moment) {
  const date = new Date(moment * 1000);
  const options = { year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hour12: false };
  return date.toLocaleString("en", options);
}

/** Where an address stands on the ring of all addresses, 0..1. */
export function ringPlace(address) {
  const digits = address.slice(address.indexOf(":") + 1).replaceAll(".", "");
  const value = Number.parseInt(digits, 16);
  return Number.isFinite(value) ? value / 2 ** (4 * digits.length) : 0;
}
