// The policy machine's phases, and how one leads to another. tests/test_panel.py holds the arrows against the machine.

import { $, svg } from "./dom.js";

const WIDTH = 132;
const HEIGHT = 40;

export const NODES = {
  idle: [76, 74, "idle", "holds the last seconds"],
  recording: [252, 74, "recording", "keeps everything"],
  "stop-asked": [428, 74, "stop asked", "still keeps everything"],
  "post-event": [604, 74, "post-event", "a few seconds more"],
  asleep: [76, 190, "asleep", "holds nothing"],
  paused: [252, 190, "paused", "keeps nothing"],
  "paused-stop-asked": [428, 190, "stop asked", "while paused"],
};

// from, to, the path, and for some a label with its place
export const ARROWS = [
  ["idle", "recording", "M142 74H186", "R R", 164, 66],
  ["recording", "stop-asked", "M318 68H362", "R 3 s", 340, 60],
  ["stop-asked", "recording", "M362 82H318", "lapses", 340, 97],
  ["stop-asked", "post-event", "M494 74H538", "R", 516, 66],
  ["post-event", "idle", "M612 54V16H76V54", "time over", 340, 12],
  ["post-event", "recording", "M590 54V36H252V54", "R R, trigger", 428, 32],
  ["idle", "asleep", "M66 94V170"],
  ["asleep", "idle", "M86 170V94", "sleep switch", 76, 136],
  ["asleep", "recording", "M142 182C180 168 176 104 204 94", "R R", 174, 126],
  ["post-event", "asleep", "M604 94V231H66V210"],
  ["recording", "paused", "M242 94V170", "F F", 228, 136],
  ["paused", "recording", "M262 170V94", "R R", 278, 136],
  ["stop-asked", "paused", "M410 94L304 170", "F F", 326, 140],
  ["paused", "paused-stop-asked", "M318 184H362", "R 3 s", 340, 176],
  ["paused-stop-asked", "paused", "M362 198H318"],
  ["paused-stop-asked", "recording", "M430 170L306 94", "R R", 398, 140],
  ["paused-stop-asked", "idle", "M420 210V224H4V82H10", "R", 340, 227],
  ["paused-stop-asked", "asleep", "M404 210V217H90V210"],
];

export class Diagram {
  #lit = "";

  constructor() {
    const diagram = $("diagram");
    const tip = svg("marker", { id: "tip", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 8, markerHeight: 8, markerUnits: "userSpaceOnUse", orient: "auto" });
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
