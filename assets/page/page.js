// The page: photos in, cards that follow each to its answer. What is sent and followed is in
// send.js, what is shown of a photo in card.js, the figures of the server in gauges.js.

import { Card } from "./card.js";
import { watchServer } from "./gauges.js";
import { follow, send } from "./send.js";

// A browser has six connections to a server: two to send, three to follow, one for the figures.
const SENDERS = 2;
const FOLLOWERS = 3;

const list = document.querySelector("#photos");
const summary = document.querySelector("#summary");
const cards = new Set();

/** Runs what is put in, so many at once, in the order of arrival. */
function line(workers, work) {
  const waiting = [];
  let busy = 0;
  const next = () => {
    while (busy < workers && waiting.length > 0) {
      busy += 1;
      work(waiting.shift()).finally(() => { busy -= 1; next(); });
    }
  };
  return (thing) => { waiting.push(thing); next(); };
}

const toFollow = line(FOLLOWERS, async (card) => {
  try {
    card.ended(await follow(card.job, (job) => card.saw(job), (trouble) => card.waits(trouble)));
  } catch (error) {
    card.failed(error);
  }
  count();
});

const toSend = line(SENDERS, async (card) => {
  card.sending();
  try {
    card.accepted(await send(card.file, card.name, (trouble) => card.waits(trouble)));
    toFollow(card);
  } catch (error) {
    card.failed(error);
    count();
  }
});

function take(files) {
  for (const file of files) {
    const card = new Card(file, (again) => { toSend(again); count(); });
    cards.add(card);
    list.prepend(card.element);
    toSend(card);
  }
  count();
}

function count() {
  const all = [...cards];
  const ended = all.filter((card) => card.isOver).length;
  const failed = all.filter((card) => card.hasFailed).length;
  document.querySelector("#tools").hidden = ended === 0;
  if (all.length === 0) {
    summary.textContent = "";
    return;
  }
  const failures = failed > 0 ? `, ${failed} without an answer` : "";
  summary.textContent = `${ended} of ${all.length} photos finished${failures}.`;
}

const input = document.querySelector("#files");
input.addEventListener("change", () => {
  take(input.files);
  // The same file may be chosen again.
  input.value = "";
});

const drop = document.querySelector("#drop");
addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop.classList.remove("over"); });
addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  take(event.dataTransfer.files);
});
addEventListener("paste", (event) => {
  if (event.clipboardData.files.length > 0) {
    event.preventDefault();
    take(event.clipboardData.files);
  }
});

document.querySelector("#clear").addEventListener("click", () => {
  for (const card of cards) {
    if (card.isOver) {
      card.remove();
      cards.delete(card);
    }
  }
  count();
  input.focus();
});

watchServer();
