// The page: one WebSocket, and who shows what comes over it. No library, nothing from elsewhere.

import { $ } from "./dom.js";
import { Buttons, Felt } from "./device.js";
import { Diagram } from "./diagram.js";
import { Controls } from "./controls.js";
import { Journal } from "./journal.js";
import { Gauges, State } from "./state.js";
import { Recordings } from "./recordings.js";

const AGAIN_MS = 500;

let socket = null;
function ask(what) {
  const heard = socket?.readyState === WebSocket.OPEN;
  if (heard) socket.send(JSON.stringify(what));
  return heard;
}

const buttons = new Buttons(ask);
const felt = new Felt();
const diagram = new Diagram();
const controls = new Controls(ask);
const journal = new Journal();
const gauges = new Gauges();
const state = new State();
const recordings = new Recordings(ask);
const scene = $("scene").getContext("2d");

const takes = {
  hello(what) {
    $("device-name").textContent = what.device;
    $("policy").textContent = `policy ${what.policy}: ${what.policy_title}`;
    for (const part of [controls, gauges, state, recordings]) part.hello(what);
  },
  felt: (what) => felt.show(what),
  now(what) {
    document.body.dataset.state = what.state;
    for (const part of [diagram, controls, gauges, state]) part.now(what);
  },
  journal: (what) => journal.add(what.lines),
  recording: (what) => recordings.show(what),
  judged: (what) => recordings.judged(what),
  exported: (what) => recordings.exported(what),
  said: (what) => controls.said(what),
};

async function draw(blob) {
  const bitmap = await createImageBitmap(blob);
  const { canvas } = scene;
  if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
    [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
  }
  scene.drawImage(bitmap, 0, 0);
  bitmap.close();
  canvas.dataset.drawn = String(Number(canvas.dataset.drawn ?? 0) + 1);
}

function connected(said, on) {
  $("connection").textContent = said;
  document.body.classList.toggle("connected", on);
}

function connect() {
  socket = new WebSocket(`ws://${location.host}/live`);
  socket.binaryType = "blob";
  socket.onopen = () => {
    connected("connected", true);
    journal.clear();
    recordings.clear();
  };
  socket.onmessage = ({ data }) => {
    if (data instanceof Blob) {
      draw(new Blob([data], { type: "image/jpeg" }));
      return;
    }
    const what = JSON.parse(data);
    takes[what.kind]?.(what);
  };
  socket.onclose = ({ reason }) => {
    connected(reason || "not connected: trying again…", false);
    document.body.dataset.state = "off";
    felt.show({ recording_light: 0, ready_light: 0, vibration: false, buzzer: false });
    buttons.release();
    setTimeout(connect, AGAIN_MS);
  };
}

if (location.search) history.replaceState(null, "", "/"); // the token is in a cookie now
$("sound").addEventListener("click", () => felt.allowSound());
$("cut").addEventListener("click", () => {
  ask({ do: "cut-power" });
  controls.said({ line: "", said: "The battery was pulled. What was not synced is gone; the device starts again." });
});
connect();
