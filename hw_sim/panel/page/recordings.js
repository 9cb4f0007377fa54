// Each recording: its timeline from the ledger, its verdict from `bodycam verify`, and its video once it is exported.

import { $, bytes, el, seconds, svg } from "./dom.js";

const GOOD = { 0: "intact", 1: "altered", 2: "doubt", 3: "doubt", 4: "doubt" };

export class Recordings {
  #ask;
  #cards = new Map();

  constructor(ask) {
    this.#ask = ask;
  }

  hello() {}

  clear() {
    this.#cards.clear();
    $("list").replaceChildren();
    $("none").hidden = false;
  }

  show(what) {
    this.#card(what.name).show(what);
    $("none").hidden = true;
  }

  judged(what) {
    this.#cards.get(what.name)?.judged(what);
  }

  exported(what) {
    this.#cards.get(what.name)?.exported(what);
  }

  #card(name) {
    if (!this.#cards.has(name)) {
      const card = new Card(name, this.#ask);
      this.#cards.set(name, card);
      const after = [...$("list").children].find((node) => node.dataset.name < name) ?? null;
      $("list").insertBefore(card.node, after);
    }
    return this.#cards.get(name);
  }
}

class Card {
  #what = null;
  #name;
  #facts = el("span", { class: "facts" });
  #badge = el("strong", { class: "badge" }, "recording…");
  #play = el("button", { type: "button", class: "play", disabled: true }, "Export and play");
  #again = el("button", { type: "button", class: "again" }, "Verify");
  #line = svg("svg", { class: "timeline", role: "img", height: 52 });
  #head = svg("line", { class: "head", y1: 0, y2: 36 });
  #why = el("details", {}, el("summary", {}, "Why, and how to check it yourself"));
  #more = el("div", { class: "more" });
  #video = null;

  constructor(name, ask) {
    this.#name = name;
    this.#play.addEventListener("click", () => ask({ do: "export", recording: name }));
    this.#again.addEventListener("click", () => ask({ do: "verify", recording: name }));
    this.#line.addEventListener("click", (event) => this.#seek(event));
    this.#why.append(this.#more);
    const title = el("h3", {}, `Recording ${Number(name.slice(0, 6))}`);
    const top = el("div", { class: "top" }, title, this.#badge, this.#facts, el("span", { class: "acts" }, this.#again, this.#play));
    this.node = el("article", { "data-name": name, "aria-label": `Recording ${name}` }, top, this.#line, this.#why);
  }

  show(what) {
    this.#what = what;
    const length = what.to_us - what.from_us;
    const how = what.ended === "recovered" ? "ended by power loss" : what.how;
    const facts = [what.trigger, seconds(length), `${what.frames} frames`, `${what.segments} segments`, bytes(what.bytes), how];
    this.#facts.textContent = facts.filter(Boolean).join(" · ");
    this.#play.disabled = !what.ended;
    this.node.classList.toggle("open", !what.ended);
    this.#draw(what, Math.max(length, 1));
  }

  judged({ busy, verdict, exit_status, answers, findings, command }) {
    this.#badge.textContent = busy ? "verifying…" : verdict;
    this.#badge.className = `badge ${busy ? "busy" : GOOD[exit_status] ?? "doubt"}`;
    this.#badge.dataset.verdict = busy ? "" : verdict;
    if (busy) return;
    const rows = Object.entries(answers).flatMap(([question, said]) => [el("dt", {}, question), el("dd", {}, said)]);
    const found = findings.map(({ place, what }) => el("li", {}, `${place}: ${what}`));
    this.#more.replaceChildren(el("dl", {}, ...rows), el("ul", {}, ...found), el("code", {}, command));
  }

  exported({ state, said, file }) {
    this.#play.disabled = state === "busy";
    this.#play.textContent = { busy: "exporting…", done: "Play", failed: "Export and play" }[state];
    if (state === "failed") this.#more.prepend(el("p", { class: "failed" }, said));
    if (state === "done" && !this.#video) {
      this.#video = el("video", { controls: true, preload: "metadata", src: `/export/${this.#name}.mp4`, playsinline: true });
      this.#video.addEventListener("timeupdate", () => this.#at(this.#video.currentTime * 1e6));
      const shown = el("figure", {}, this.#video, el("figcaption", {}, `${file}, with its proof and its access record`));
      this.node.append(shown);
      this.#play.hidden = true;
    }
  }

  #draw(what, length) {
    const x = (us) => `${Math.min(100, Math.max(0, 100 * (us - what.from_us) / length))}%`;
    const bar = (kind, from, to, y, height, said) =>
      svg("rect", { class: kind, x: x(from), width: `${Math.max(0.2, 100 * (Math.min(to, what.to_us) - Math.max(from, what.from_us)) / length)}%`, y, height }, svg("title", {}, said));
    const till = (stretch) => stretch.to_us ?? what.to_us;
    const stages = what.stages.map((s) => bar(`stage ${s.what}`, s.from_us, s.to_us, 12, 16, `${s.what}: ${seconds(s.to_us - s.from_us)}`));
    const without = what.without.map((s) =>
      bar(`without ${s.what}`, s.from_us, till(s), { muted: 30, "sound-gap": 30 }[s.what] ?? 12, { muted: 5, "sound-gap": 5 }[s.what] ?? 16, `${s.what} ${s.said}: ${seconds(till(s) - s.from_us)}`),
    );
    const marks = what.marks.map((m) => {
      const big = m.what === "press" || m.what === "marker";
      const line = svg("line", { class: `mark ${m.what}`, x1: x(m.at_us), x2: x(m.at_us), y1: big ? 4 : 28, y2: big ? 32 : 36 });
      line.append(svg("title", {}, `${m.what} ${m.said} at ${seconds(m.at_us - what.from_us)}`));
      return line;
    });
    const ticks = [0, 0.25, 0.5, 0.75, 1].map((part) =>
      svg("text", { x: `${100 * part}%`, y: 49, "text-anchor": part === 0 ? "start" : part === 1 ? "end" : "middle" }, seconds(length * part)),
    );
    this.#line.replaceChildren(...stages, ...without, ...marks, ...ticks, this.#head);
    const counted = (kind, list) => list.filter((each) => each.what === kind).length;
    this.#line.setAttribute(
      "aria-label",
      `Timeline: ${what.stages.map((s) => `${s.what} ${seconds(s.to_us - s.from_us)}`).join(", ")}; ${counted("marker", what.marks)} markers, ` +
        `${counted("muted", what.without)} times without sound, ${counted("paused", what.without)} pauses, ${counted("gap", what.without)} gaps`,
    );
  }

  #at(us) {
    const part = `${(100 * us) / Math.max(1, this.#what.to_us - this.#what.from_us)}%`;
    this.#head.setAttribute("x1", part);
    this.#head.setAttribute("x2", part);
  }

  #seek(event) {
    if (!this.#video) return;
    const box = this.#line.getBoundingClientRect();
    this.#video.currentTime = ((event.clientX - box.left) / box.width) * (this.#what.to_us - this.#what.from_us) / 1e6;
  }
}
