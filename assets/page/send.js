// A photo to the server and its job to its end, however often the connection breaks: the same key
// is the same job, and a job that was accepted is not lost.

const KEY = "beagle-api-key";
// Milliseconds between tries when the server does not say.
const FIRST_WAIT = 500;
const LONGEST_WAIT = 10_000;

/** An answer that is none: what the server said, for people, and whether trying again may help. */
export class Refused extends Error {
  constructor(message, code, mayHelp) {
    super(message);
    this.code = code;
    this.mayHelp = mayHelp;
  }
}

/** fetch, with the API key if there is one; asks for one when the server wants it. */
export async function ask(path, options = {}) {
  for (;;) {
    const headers = new Headers(options.headers);
    const key = sessionStorage.getItem(KEY);
    if (key) headers.set("Authorization", `Bearer ${key}`);
    const response = await fetch(path, { ...options, headers, cache: "no-store" });
    if (response.status !== 401 || options.quiet) return response;
    await newKey(key);
  }
}

let asking = null;

/** Asks the person for a key, once for all who wait; not if another one has come meanwhile. */
function newKey(refused) {
  if (sessionStorage.getItem(KEY) !== refused) return Promise.resolve();
  asking ??= new Promise((resolve) => {
    const dialog = document.querySelector("#key");
    dialog.addEventListener("close", () => {
      sessionStorage.setItem(KEY, dialog.querySelector("input").value.trim());
      asking = null;
      resolve();
    }, { once: true });
    dialog.showModal();
  });
  return asking;
}

const pause = (milliseconds) => new Promise((resolve) => { setTimeout(resolve, milliseconds); });

/** Tries until it is done, with growing pauses; `work` gives nothing when it is to be tried again. */
async function persist(work, trouble) {
  let wait = FIRST_WAIT;
  for (;;) {
    let told = "The connection broke: trying again.";
    let after = null;
    try {
      const done = await work((text, seconds) => { told = text; after = seconds; });
      if (done !== undefined) return done;
    } catch (error) {
      if (error instanceof Refused) throw error;
    }
    trouble(told);
    await pause(after === null ? wait : after * 1000);
    wait = Math.min(wait * 2, LONGEST_WAIT);
  }
}

/** What a refusal says. */
async function refusal(response) {
  let error = {};
  try {
    error = (await response.json()).error ?? {};
  } catch { /* Something between us and the server answered. */ }
  const message = error.message ?? `the server answered ${response.status}`;
  const mayHelp = response.status >= 500 || response.status === 408 || response.status === 429;
  return new Refused(message, error.code ?? String(response.status), mayHelp);
}

/** Sends a photo; gives its job when it is durable. `key` is this sending's own. */
export function send(file, key, trouble) {
  return persist(async (again) => {
    const response = await ask("jobs", {
      method: "POST",
      body: file,
      headers: { "Content-Type": "application/octet-stream", "Idempotency-Key": key },
    });
    if (response.status === 202) return response.json();
    if (response.status === 503 || response.status === 429) {
      const seconds = Number(response.headers.get("Retry-After")) || 1;
      again(`The server is full: trying again in ${seconds} s.`, seconds);
      return undefined;
    }
    // A key that was seen before, with its answer.
    if (response.ok) return { job: response.headers.get("X-Job-Id"), state: "done" };
    throw await refusal(response);
  }, trouble);
}

/** Follows a job to its end; `saw` is told of every state on the way. */
export function follow(id, saw, trouble) {
  return persist(async () => {
    const response = await ask(`jobs/${id}/events`);
    if (response.status === 404) throw await refusal(response);
    if (!response.ok) return undefined;
    for await (const job of events(response.body)) {
      if (["done", "dead", "expired", "cancelled"].includes(job.state)) return job;
      saw(job);
    }
    // The server ended the stream: it is about to restart.
    return undefined;
  }, trouble);
}

/** The data of server-sent events. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      text += value;
      const whole = text.split("\n\n");
      text = whole.pop();
      for (const event of whole) {
        const data = event.split("\n").filter((row) => row.startsWith("data:"));
        if (data.length > 0) yield JSON.parse(data.map((row) => row.slice(5)).join("\n"));
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
