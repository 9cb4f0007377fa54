// Zone, triggers, switches, lens, faults: each says a line of the bench's.

import { $, el } from "./dom.js";

const LENS = ["clear", "covered", "dark", "blurred", "frozen"];

export class Controls {
  #ask;
  #faults = [];
  #troubles = "";

  constructor(ask) {
    this.#ask = ask;
    $("say").addEventListener("submit", (event) => {
      event.preventDefault();
      const line = $("line").value.trim();
      if (line) this.#say(line);
      $("line").select();
    });
    $("faults").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#say(`fault ${$("part").value} ${$("word").value}`);
    });
    $("part").addEventListener("change", () => this.#words());
    $("word").addEventListener("change", () => this.#does());
    this.#fill("lens", LENS.map((looks) => this.#button(looks, `lens ${looks}`)));
  }

  hello(what) {
    const initial = { "data-zone": "", title: "no line of the zone switch is closed" };
    this.#fill("zones", [
      this.#button(what.initial_zone || "none", "zone initial", initial),
      ...what.zones.map((zone) => this.#button(zone, `zone ${zone}`, { "data-zone": zone })),
    ]);
    this.#fill("triggers", what.triggers.map(({ name, category }) => this.#button(name, `trigger ${name}`, { title: category })));
    this.#fill("switches", what.switches.map((name) => this.#toggle(name)));
    this.#faults = what.faults;
    const parts = [...new Set(what.faults.map(({ part }) => part))];
    $("part").replaceChildren(...parts.map((part) => el("option", {}, part)));
    $("lines-known").replaceChildren(...what.lines.map((line) => el("option", { value: line })));
    this.#words();
  }

  now({ switches, troubles }) {
    const zone = switches.find((name) => name.startsWith("zone-"))?.slice("zone-".length) ?? "";
    for (const node of document.querySelectorAll("[data-zone]")) node.setAttribute("aria-pressed", String(node.dataset.zone === zone));
    for (const node of document.querySelectorAll("[data-switch]")) {
      node.setAttribute("aria-pressed", String(switches.includes(node.dataset.switch)));
    }
    const known = JSON.stringify(troubles);
    if (known === this.#troubles) return;
    this.#troubles = known;
    const mend = ([part, word]) => this.#button(`${part} ${word}: mend`, `fault ${part} clear`, { class: "trouble" });
    $("troubles").replaceChildren(...Object.entries(troubles).map(mend));
  }

  said({ line, said }) {
    $("said").textContent = line ? `${line}: ${said}` : said;
  }

  #say(line) {
    const heard = this.#ask({ do: "say", line });
    this.said({ line: "", said: heard ? `said: ${line}` : `${line}: not connected, so nobody heard it` });
  }

  #words() {
    const words = this.#faults.filter(({ part }) => part === $("part").value);
    $("word").replaceChildren(...words.map(({ word }) => el("option", {}, word)));
    this.#does();
  }

  #does() {
    const chosen = this.#faults.find(({ part, word }) => part === $("part").value && word === $("word").value);
    $("does").textContent = chosen?.does ?? "";
  }

  #button(label, line, attributes = {}) {
    return el("button", { type: "button", onclick: () => this.#say(line), ...attributes }, label);
  }

  #toggle(name) {
    const turn = ({ currentTarget }) => this.#say(`${name} ${currentTarget.getAttribute("aria-pressed") === "true" ? "off" : "on"}`);
    return el("button", { type: "button", "data-switch": name, "aria-pressed": "false", onclick: turn }, name);
  }

  #fill(id, nodes) {
    $(id).replaceChildren($(id).querySelector("legend"), ...nodes);
    $(id).hidden = nodes.length === 0;
  }
}
