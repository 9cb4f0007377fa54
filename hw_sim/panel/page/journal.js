// The journal's newest lines, newest first.

import { $, clock, el } from "./dom.js";

const MOST = 300;

export class Journal {
  clear() {
    $("lines").replaceChildren();
  }

  add(lines) {
    const list = $("lines");
    const stays = list.scrollTop > 4; // somebody reads further down
    const before = list.scrollHeight;
    const nodes = lines.slice(-MOST).map((line) => this.#line(line));
    list.prepend(...nodes.reverse());
    while (list.children.length > MOST) list.lastElementChild.remove();
    if (stays) list.scrollTop += list.scrollHeight - before;
  }

  #line({ epoch, seq, type, at_us, utc, said, sealed }) {
    const time = el("time", { datetime: utc, title: `boot clock; ${utc}` }, clock(at_us));
    const kind = el("span", { class: `type ${type}` }, type);
    const lock = sealed ? [el("span", { class: "lock", title: "sealed on the card; opened here with the demo agency's key" }, "●")] : [];
    return el("li", { "data-type": type, title: `journal/${epoch}.jsonl, line ${seq}` }, el("div", {}, time, kind, ...lock), el("p", {}, said));
  }
}
