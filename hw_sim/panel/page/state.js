// The state in a word, what to do next, and the gauges.

import { $, bytes, seconds } from "./dom.js";

const HINTS = {
  off: "The device is starting.",
  idle: "Press R twice: the seconds before it are kept, and what follows.",
  recording: "Hold R for 3 s to ask for a stop. F: marker. F twice: private pause. F held 3 s: sound off.",
  "stop-asked": "Press R once to confirm the stop. If nothing comes, it goes on.",
  "post-event": "Kept for a few seconds more. R twice: recording again.",
  paused: "Nothing is kept. R twice: it goes on. R held 3 s: ask for a stop.",
  "paused-stop-asked": "Press R once to end the recording.",
  asleep: "Nothing is held, triggers are not heard. The sleep switch wakes it.",
};

export class State {
  hello() {}

  now(what) {
    const flags = [
      what.muted && "no sound",
      what.on && !what.ready && "not ready",
      ...what.faults.map((part) => `fault: ${part}`),
      what.under_voltage && "under-voltage",
    ];
    const word = what.state.replaceAll("-", " ");
    if ($("state-word").textContent !== word) {
      $("state-word").textContent = word;
      $("hint").textContent = HINTS[what.state] ?? "";
      $("felt").textContent = `Now ${word}.`;
    }
    $("state-flags").textContent = flags.filter(Boolean).join(" · ");
  }
}

export class Gauges {
  #hello = null;

  hello(what) {
    this.#hello = what;
  }

  now(what) {
    if (!this.#hello) return;
    const { pre_event_us: window, ring_cap_bytes: cap } = this.#hello;
    this.#set("ring", what.held_us / (window || 1), `${seconds(what.held_us)} of ${seconds(window, 0)}`);
    this.#set("cap", what.ring_bytes / (cap || 1), `${bytes(what.ring_bytes)} of ${bytes(cap)}`);
    this.#set("room", 1 - what.card_free_bytes / (what.card_bytes || 1), `${bytes(what.card_free_bytes)} free`);
    this.#set("battery", what.battery_percent ?? 0, what.battery_percent === null ? "no gauge" : `${what.battery_percent} %`);
    this.#set("heat", what.temperature_c ?? 20, what.temperature_c === null ? "no sensor" : `${what.temperature_c} °C`);
  }

  #set(id, value, said) {
    $(id).value = value;
    $(`${id}-said`).textContent = said;
  }
}
