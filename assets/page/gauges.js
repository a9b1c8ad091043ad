// The server now: whether it is ready, and its figures of the last minute, from /metrics.

import { ask } from "./send.js";

const EVERY = 2000;
// Looks that are kept: a minute.
const KEPT = 30;

const looks = [];
const drawn = { rate: [], p50: [], p99: [], depth: [], batch: [] };

/** Series by name and labels. */
function parse(text) {
  const series = new Map();
  for (const row of text.split("\n")) {
    const at = row.lastIndexOf(" ");
    if (at > 0 && row[0] !== "#") series.set(row.slice(0, at), Number(row.slice(at + 1)));
  }
  return series;
}

/** What a counter has grown by since the first look that is kept. */
const grown = (name, first, last) => (last.get(name) ?? 0) - (first.get(name) ?? 0);

/** A quantile of what a histogram has grown by, by linear interpolation inside its bucket. */
function quantile(name, part, first, last) {
  const start = `${name}_bucket{le="`;
  const buckets = [...last.keys()].filter((key) => key.startsWith(start)).map((key) => ({
    bound: Number(key.slice(start.length, -2).replace("+Inf", "Infinity")),
    count: grown(key, first, last),
  })).sort((a, b) => a.bound - b.bound);
  const all = buckets.at(-1)?.count ?? 0;
  if (all === 0) return null;
  const wanted = part * all;
  let [below, under] = [0, 0];
  for (const { bound, count } of buckets) {
    if (count >= wanted) {
      if (bound === Infinity) return below;
      return below + (bound - below) * ((wanted - under) / (count - under));
    }
    [below, under] = [bound, count];
  }
  return below;
}

const time = (seconds) => (seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(1)} s`);

function show(id, value, text) {
  document.querySelector(`#${id}`).textContent = value === null ? "–" : text(value);
  const points = drawn[id];
  points.push(value ?? 0);
  if (points.length > KEPT) points.shift();
  const most = Math.max(...points, 1e-9);
  const line = points.map((point, at) => `${(at * 60) / (KEPT - 1)},${19 - (18 * point) / most}`);
  document.querySelector(`#${id} + svg polyline`).setAttribute("points", line.join(" "));
}

async function figures() {
  const response = await ask("metrics", { quiet: true });
  document.querySelector("#gauges").hidden = !response.ok;
  if (!response.ok) return;
  const last = parse(await response.text());
  const previous = looks.at(-1);
  // A process that was started again counts from nothing.
  const name = "beagle_jobs_completed_total";
  if (previous && grown(name, previous.series, last) < 0) looks.length = 0;
  looks.push({ at: performance.now(), series: last });
  if (looks.length > KEPT + 1) looks.shift();
  const { at, series: first } = looks[0];
  const seconds = (performance.now() - at) / 1000;
  const batches = grown("beagle_batch_size_images_count", first, last);
  const images = grown("beagle_batch_size_images_sum", first, last);
  const queue = (state) => last.get(`beagle_queue_jobs{state="${state}"}`) ?? 0;
  const latency = (part) => quantile("beagle_job_duration_seconds", part, first, last);
  show("rate", seconds > 0 ? grown(name, first, last) / seconds : null, (rate) => rate.toFixed(1));
  show("p50", latency(0.5), time);
  show("p99", latency(0.99), time);
  show("depth", queue("queued") + queue("running"), String);
  show("batch", batches > 0 ? images / batches : null, (size) => size.toFixed(1));
}

async function health() {
  const place = document.querySelector("#health");
  let [good, text] = [false, "The server does not answer; what it has accepted is safe."];
  try {
    const response = await ask("readyz", { quiet: true });
    const said = await response.json();
    good = response.ok;
    text = good ? "ready" : `not ready: ${(said.reasons ?? []).join(", ")}`;
  } catch { /* It is not there: said above. */ }
  place.className = good ? "good" : "bad";
  // A status is read out each time it is set.
  if (place.textContent !== text) place.textContent = text;
}

/** Looks again and again, while the page is seen. */
export async function watchServer() {
  for (;;) {
    if (!document.hidden) {
      await health();
      await figures().catch(() => {});
    }
    await new Promise((resolve) => { setTimeout(resolve, EVERY); });
  }
}
