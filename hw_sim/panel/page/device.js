// The device as the wearer has it in hand: two buttons to press, lights, vibration and sound as the pins say.

import { $ } from "./dom.js";

const KEYS = { r: "record", f: "function" };
const BUZZER_HZ = 2700;
const LOUDNESS = 0.04;
const SHOWN_MS = 10_000;
const ROWS = [
  ["recording_light", "--recording"],
  ["ready_light", "--ready"],
  ["vibration", "--felt"],
  ["buzzer", "--heard"],
];

export class Buttons {
  #ask;
  #down = new Map(); // button → who holds it: a pointer, a key

  constructor(ask) {
    this.#ask = ask;
    for (const node of document.querySelectorAll("[data-button]")) {
      const { button } = node.dataset;
      node.addEventListener("pointerdown", (event) => {
        if (event.button !== 0) return;
        event.preventDefault();
        node.focus({ preventScroll: true });
        node.setPointerCapture(event.pointerId);
        this.#press(button, event.pointerId);
      });
      for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
        node.addEventListener(end, (event) => this.#letGo(button, event.pointerId));
      }
      node.addEventListener("contextmenu", (event) => event.preventDefault());
      node.addEventListener("keydown", (event) => {
        if (event.key !== " " && event.key !== "Enter") return;
        event.preventDefault();
        if (!event.repeat) this.#press(button, event.key);
      });
      node.addEventListener("keyup", (event) => this.#letGo(button, event.key));
    }
    addEventListener("keydown", (event) => {
      const button = KEYS[event.key.toLowerCase()];
      const typing = event.target.closest?.("input, textarea, select");
      if (!button || event.repeat || typing || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      this.#press(button, button);
    });
    addEventListener("keyup", (event) => {
      const button = KEYS[event.key.toLowerCase()];
      if (button) this.#letGo(button, button);
    });
    addEventListener("blur", () => this.release((by) => typeof by === "string")); // a pointer's end comes all the same
  }

  release(which = () => true) {
    for (const [button, by] of [...this.#down]) if (which(by)) this.#letGo(button, by);
  }

  #press(button, by) {
    if (this.#down.has(button) || !this.#ask({ do: "press", button, down: true })) return;
    this.#down.set(button, by);
    $(`button-${button}`).classList.add("down");
  }

  #letGo(button, by) {
    if (this.#down.get(button) !== by) return;
    this.#down.delete(button);
    $(`button-${button}`).classList.remove("down");
    this.#ask({ do: "press", button, down: false });
  }
}

export class Felt {
  #now = { recording_light: 0, ready_light: 0, vibration: false, buzzer: false };
  #past = []; // [when, what it was until then]
  #audio = null;
  #gain = null;
  #trace = $("trace");

  constructor() {
    setInterval(() => this.#draw(), matchMedia("(prefers-reduced-motion: reduce)").matches ? 500 : 50);
  }

  show(what) {
    this.#past.push([performance.now(), this.#now]);
    this.#now = what;
    for (const [id, percent] of [["lamp-recording", what.recording_light], ["lamp-ready", what.ready_light]]) {
      $(id).classList.toggle("lit", percent > 0);
      $(id).style.setProperty("--bright", String(0.45 + 0.55 * percent / 100));
    }
    const camera = $("camera").classList;
    camera.toggle("shakes", what.vibration);
    camera.toggle("sounds", what.buzzer);
    this.#gain?.gain.setTargetAtTime(what.buzzer ? LOUDNESS : 0, this.#audio.currentTime, 0.004);
  }

  allowSound() {
    const on = this.#gain === null;
    if (on) {
      this.#audio ??= new AudioContext();
      const tone = new OscillatorNode(this.#audio, { type: "square", frequency: BUZZER_HZ });
      this.#gain = new GainNode(this.#audio, { gain: 0 });
      tone.connect(this.#gain).connect(this.#audio.destination);
      tone.start();
      this.#audio.resume();
    } else {
      this.#gain.disconnect();
      this.#gain = null;
    }
    $("sound").setAttribute("aria-pressed", String(on));
    $("sound").textContent = on ? "Sound on" : "Sound off";
  }

  #draw() {
    const box = this.#trace.getBoundingClientRect();
    const scale = devicePixelRatio || 1;
    const [width, height] = [Math.round(box.width * scale), Math.round(box.height * scale)];
    if (this.#trace.width !== width) this.#trace.width = width;
    if (this.#trace.height !== height) this.#trace.height = height;
    const g = this.#trace.getContext("2d");
    g.clearRect(0, 0, width, height);
    const style = getComputedStyle(document.documentElement);
    const now = performance.now();
    this.#past = this.#past.filter(([until]) => now - until < SHOWN_MS);
    const x = (at) => Math.max(0, width * (1 - (now - at) / SHOWN_MS));
    const row = height / ROWS.length;
    ROWS.forEach(([name, colour], n) => {
      g.fillStyle = style.getPropertyValue("--line");
      g.fillRect(0, Math.round((n + 0.5) * row), width, scale);
      g.fillStyle = style.getPropertyValue(colour);
      let from = 0;
      for (const [until, what] of [...this.#past, [now, this.#now]]) {
        const to = x(until);
        if (what[name]) g.fillRect(from, n * row + row * 0.2, to - from, row * 0.6);
        from = to;
      }
    });
  }
}
