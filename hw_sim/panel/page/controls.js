// Zone, triggers, switches, faults: each says a line of the bench's.

import { $, el } from "./dom.js";

export class Controls {
  #ask;
  #initial = "";

  constructor(ask) {
    this.#ask = ask;
    $("say").addEventListener("submit", (event) => {
      event.preventDefault();
      const line = $("line").value.trim();
      if (line) this.#say(line);
      $("line").select();
    });
  }

  hello(what) {
    this.#initial = what.initial_zone;
    this.#fill("zones", [
      this.#button(`${what.initial_zone}`, "zone initial", { "data-zone": "", title: "no line of the zone switch is closed" }),
      ...what.zones.map((zone) => this.#button(zone, `zone ${zone}`, { "data-zone": zone })),
    ]);
    this.#fill("triggers", what.triggers.map(({ name, category }) => this.#button(name, `trigger ${name}`, { title: category })));
    this.#fill("switches", what.switches.map((name) => this.#toggle(name)));
    this.#fill("faults", what.faults.map((part) => this.#part(part)));
  }

  now({ switches }) {
    const zone = switches.find((name) => name.startsWith("zone-"))?.slice("zone-".length) ?? "";
    for (const node of document.querySelectorAll("[data-zone]")) node.setAttribute("aria-pressed", String(node.dataset.zone === zone));
    for (const node of document.querySelectorAll("[data-switch]")) {
      node.setAttribute("aria-pressed", String(switches.includes(node.dataset.switch)));
    }
  }

  said({ line, said }) {
    $("said").textContent = line ? `${line}: ${said}` : said;
  }

  #say(line) {
    this.said({ line: "", said: `said: ${line}` });
    this.#ask({ do: "say", line });
  }

  #button(label, line, attributes = {}) {
    return el("button", { type: "button", onclick: () => this.#say(line), ...attributes }, label);
  }

  #toggle(name) {
    const turn = ({ currentTarget }) => this.#say(`${name} ${currentTarget.getAttribute("aria-pressed") === "true" ? "off" : "on"}`);
    return el("button", { type: "button", "data-switch": name, "aria-pressed": "false", onclick: turn }, name);
  }

  #part({ part, words }) {
    const choose = el("select", { "aria-label": `Fault of the ${part}`, "data-part": part });
    choose.append(el("option", { value: "" }, part), ...words.map(({ word, line, said }) => el("option", { value: line, title: said }, word)));
    choose.addEventListener("change", () => choose.value && this.#say(choose.value));
    return choose;
  }

  #fill(id, nodes) {
    $(id).replaceChildren($(id).querySelector("legend"), ...nodes);
    $(id).hidden = nodes.length === 0;
  }
}
