// Logging in, asking the daemon for something, and hearing what changes.

const KEY = "pilotdht-page-key";
const RETRY_FIRST_S = 1;
const RETRY_MOST_S = 15;
const SILENCE_S = 25;

export class LoggedOut extends Error {}

function pageKey() {
  return localStorage.getItem(KEY) ?? "";
}

async function post(path, fields) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json", [KEY]: pageKey() },
    body: JSON.stringify(fields),
    cache: "no-store",
  });
  const content = await answer.json();
  if (content.status === "ok") return content.data;
  if (answer.status === 401) throw new LoggedOut(content.message);
  const error = new Error(content.message);
  error.hint = content.hint;
  throw error;
}

/** Use the login link that the page was opened with, if it was, and take the token out of the address. */
export async function enter() {
  const found = /^#login=([\w-]+)$/.exec(location.hash);
  if (!found) return "";
  history.replaceState(null, "", location.pathname);
  try {
    const { page_key: key } = await post("/api/login", { token: found[1] });
    localStorage.setItem(KEY, key);
    return "";
  } catch (error) {
    return error.message;
  }
}

export async function leave() {
  try {
    await post("/api/logout", {});
  } finally {
    localStorage.removeItem(KEY);
  }
}

export const act = (deed, fields) => post(`/api/do/${deed}`, fields);

/** Hears what changes for one page; ends when it is closed, and opens itself again when the daemon was away. */
export class Live {
  constructor(query, { onLine, onState }) {
    this.query = query;
    this.onLine = onLine;
    this.onState = onState;
    this.isClosed = false;
    this.controller = null;
    this.run();
  }

  close() {
    this.isClosed = true;
    this.controller?.abort();
  }

  async run() {
    let wait = RETRY_FIRST_S;
    while (!this.isClosed) {
      this.controller = new AbortController();
      try {
        if (await this.listen()) wait = RETRY_FIRST_S;
      } catch (error) {
        if (error instanceof LoggedOut) {
          if (!this.isClosed) this.onState("locked");
          return;
        }
      }
      if (this.isClosed) return;
      this.onState("lost");
      await new Promise((resolve) => setTimeout(resolve, wait * 1000));
      wait = Math.min(RETRY_MOST_S, wait * 2);
    }
  }

  async listen() {
    const answer = await fetch(`/api/live?${new URLSearchParams(this.query)}`, {
      headers: { [KEY]: pageKey() },
      signal: this.controller.signal,
      cache: "no-store",
    });
    if (answer.status === 401) throw new LoggedOut();
    if (!answer.ok) throw new Error((await answer.json()).message);
    this.onState("live");
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const silence = setTimeout(() => this.controller.abort(), SILENCE_S * 1000);
      const { value, done } = await reader.read();
      clearTimeout(silence);
      if (done) return true;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) if (line && !this.isClosed) this.onLine(JSON.parse(line));
    }
  }
}
