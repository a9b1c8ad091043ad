// One photo as it is shown: its picture, its way, its labels or what went wrong.

const template = document.querySelector("#card");
// The steps of its way: sent, decoded, queued, classified.
const SENT = 0;
const QUEUED = 2;
const CLASSIFIED = 3;

const percent = (part) => `${(part * 100).toFixed(part < 0.1 ? 1 : 0)} %`;
const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

export class Card {
  constructor(file, again) {
    this.file = file;
    this.title = file.name || "pasted photo";
    this.element = template.content.firstElementChild.cloneNode(true);
    this.part = (selector) => this.element.querySelector(selector);
    this.part("h2").textContent = this.title;
    this.picture = URL.createObjectURL(file);
    const thumbnail = this.part(".thumbnail");
    // What a browser cannot show (TIFF) may still be classified.
    thumbnail.addEventListener("error", () => { thumbnail.removeAttribute("src"); }, { once: true });
    thumbnail.src = this.picture;
    this.part(".again").addEventListener("click", () => { this.begin(); again(this); });
    this.part(".copy").addEventListener("click", async () => {
      await navigator.clipboard?.writeText(this.part("code").textContent);
      this.part(".copy").textContent = "Copied";
    });
    this.begin();
  }

  begin() {
    // A sending of its own: the same key again is the same job.
    this.name = crypto.randomUUID?.() ?? `${Date.now()}-${Math.random().toString(36).slice(2)}`;
    this.isOver = false;
    this.hasFailed = false;
    this.element.classList.remove("failed");
    this.part(".again").hidden = true;
    this.at(SENT, "Waits to be sent.");
  }

  /** Where it is on its way, and in words. */
  at(step, text) {
    this.step = step;
    [...this.part(".way").children].forEach((item, index) => {
      item.classList.toggle("past", index < step || (this.isOver && !this.hasFailed));
      item.toggleAttribute("aria-current", index === step && (!this.isOver || this.hasFailed));
    });
    this.part(".state").textContent = text;
  }

  sending() { this.at(SENT, "Is being sent and decoded."); }

  accepted(job) {
    this.job = job.job;
    this.queued(job);
  }

  queued({ position, expected_wait_ms: wait }) {
    const before = position > 1 ? `, ${position - 1} before it` : "";
    const soon = wait > 1000 ? `; about ${Math.round(wait / 1000)} s` : "";
    this.at(QUEUED, `Is in the queue${before}${soon}.`);
  }

  saw(job) {
    if (job.state === "running") this.at(CLASSIFIED, "Is being classified.");
    else this.queued(job);
  }

  waits(trouble) { this.at(this.step, trouble); }

  ended(job) {
    if (job.state !== "done" || !job.predictions) {
      this.failed({ message: job.error?.message ?? `the job is ${job.state}`, mayHelp: true });
      return;
    }
    this.isOver = true;
    const took = job.finished_ms - job.created_ms;
    const again = job.attempts > 1 ? `, in ${job.attempts} attempts` : "";
    this.at(CLASSIFIED, `Classified ${took} ms after it was accepted${again}.`);
    const labels = job.predictions.map(({ label, probability }) => {
      const item = document.createElement("li");
      const name = document.createElement("span");
      const part = document.createElement("span");
      const bar = document.createElement("progress");
      name.className = "name";
      part.className = "part";
      name.textContent = label.replaceAll("_", " ");
      part.textContent = percent(probability);
      bar.value = probability;
      bar.setAttribute("aria-label", name.textContent);
      item.append(name, part, bar);
      return item;
    });
    this.part(".labels").replaceChildren(...labels);
    this.part(".thumbnail").alt = `${this.title}: ${job.predictions[0].label.replaceAll("_", " ")}`;
    this.part("code").textContent = `curl -F image=@${quoted(this.title)} ${quoted(`${location.origin}/predict`)}`;
    this.part("details").hidden = false;
  }

  failed(error) {
    this.isOver = true;
    this.hasFailed = true;
    this.element.classList.add("failed");
    const text = error.message ?? String(error);
    this.at(this.step, text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : "."));
    this.part(".again").hidden = !error.mayHelp;
  }

  remove() {
    URL.revokeObjectURL(this.picture);
    this.element.remove();
  }
}
