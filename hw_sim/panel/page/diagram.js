// The policy machine's phases, and how one leads to another. tests/test_panel.py holds the arrows against the machine.

import { $, svg } from "./dom.js";

const WIDTH = 128;
const HEIGHT = 40;

export const NODES = {
  idle: [76, 74, "idle", "holds the last seconds"],
  recording: [252, 74, "recording", "keeps everything"],
  "stop-asked": [428, 74, "stop asked", "still keeps everything"],
  "post-event": [604, 74, "post-event", "a few seconds more"],
  asleep: [76, 190, "asleep", "holds nothing"],
  paused: [252, 190, "paused", "keeps nothing"],
  "paused-stop-asked": [428, 190, "paused, stop asked", "keeps nothing"],
};

// from, to, the path, and for some a label with its place
export const ARROWS = [
  ["idle", "recording", "M140 68H188", "R R", 164, 60],
  ["recording", "idle", "M188 82H140"],
  ["recording", "stop-asked", "M316 68H364", "R 3 s", 340, 60],
  ["stop-asked", "recording", "M364 82H316"],
  ["stop-asked", "post-event", "M492 74H540", "R", 516, 66],
  ["stop-asked", "idle", "M410 54V30H100V54"],
  ["post-event", "idle", "M604 54V14H64V54", "time over", 334, 10],
  ["post-event", "recording", "M586 54V42H262V54", "R R, trigger", 516, 38],
  ["idle", "asleep", "M68 94V170"],
  ["asleep", "idle", "M84 170V94", "sleep switch", 94, 136],
  ["asleep", "recording", "M140 184C176 170 176 96 200 94"],
  ["post-event", "asleep", "M604 94V226H76V210"],
  ["recording", "paused", "M238 94V170", "F F", 232, 138],
  ["paused", "recording", "M266 170V94", "R R", 272, 138],
  ["stop-asked", "paused", "M400 94L300 170"],
  ["post-event", "paused", "M570 94V150H330L308 170"],
  ["paused", "paused-stop-asked", "M316 184H364", "R 3 s", 340, 176],
  ["paused-stop-asked", "paused", "M364 198H316"],
  ["paused-stop-asked", "recording", "M400 170L300 94"],
  ["paused-stop-asked", "idle", "M428 210V220H48V94", "R", 418, 226],
];

export class Diagram {
  #lit = "";

  constructor() {
    const diagram = $("diagram");
    const tip = svg("marker", { id: "tip", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 6, markerHeight: 6, orient: "auto" });
    tip.append(svg("path", { d: "M0 0L8 4L0 8Z" }));
    diagram.append(svg("defs", {}, tip));
    for (const [from, to, d] of ARROWS) {
      diagram.append(svg("path", { class: "arrow", d, "data-from": from, "data-to": to, "marker-end": "url(#tip)" }));
    }
    for (const [, , , label, x, y] of ARROWS) if (label) diagram.append(svg("text", { class: "by", x, y }, label));
    for (const [name, [x, y, title, said]] of Object.entries(NODES)) {
      const box = svg("rect", { x: x - WIDTH / 2, y: y - HEIGHT / 2, width: WIDTH, height: HEIGHT, rx: 10 });
      const texts = [svg("text", { x, y: y - 2, class: "name" }, title), svg("text", { x, y: y + 12, class: "said" }, said)];
      diagram.append(svg("g", { class: "phase", "data-phase": name }, box, ...texts));
    }
  }

  now({ state }) {
    if (state === this.#lit) return;
    const diagram = $("diagram");
    for (const node of diagram.querySelectorAll(".phase")) node.classList.toggle("lit", node.dataset.phase === state);
    for (const arrow of diagram.querySelectorAll(".arrow")) {
      arrow.classList.toggle("taken", arrow.dataset.from === this.#lit && arrow.dataset.to === state);
    }
    diagram.setAttribute("aria-label", `The policy's states; now: ${state}`);
    this.#lit = state;
  }
}
