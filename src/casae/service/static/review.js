/** The queue of what is doubtful: one part after the other, by keyboard; the next one is fetched meanwhile. */
import { ask, layers, viewerOf } from "./ask.js";

const AHEAD = 20;
const at = (id) => document.getElementById(id);
const work = at("work");
let queue = [];
let looked = new Set(); // of this visit, so that what was put off comes at the end
let viewer = null;
let record = null;
let chosen = 0;

const applyLayers = layers(() => viewer);
await next();

async function fill() {
  const page = await ask("GET", `/api/v1/inspections?decision=REVIEW&reviewed=false&limit=${AHEAD * 5}`);
  at("waiting").textContent = page.next ? `${page.items.length}+` : page.items.length;
  const fresh = page.items.filter((item) => !looked.has(item.id));
  queue = (fresh.length ? fresh : page.items).map((item) => item.id);
  if (!fresh.length) looked = new Set();
}

async function next() {
  try {
    if (!queue.length) await fill();
    const id = queue.shift();
    at("empty").hidden = Boolean(id);
    work.hidden = !id;
    if (!id) return;
    looked.add(id);
    ({ record } = await ask("GET", `/api/v1/inspections/${id}`));
    show();
    if (queue.length) ask("GET", `/api/v1/inspections/${queue[0]}`); // so that the browser has met it
  } catch (error) {
    say(error.message);
  }
}

function show() {
  const old = at("viewer");
  const fresh = old.cloneNode(false);
  old.replaceWith(fresh);
  chosen = 0;
  viewer = viewerOf(fresh, record, (number) => (chosen = number ?? 0), work.dataset.gone);
  viewer.ready.then(applyLayers, () => {});
  at("part").textContent = record.part.serial ?? record.source.split("/").at(-1);
  at("why").textContent = record.reason;
  const about = [record.part.product, record.part.batch, record.part.station, record.model];
  at("about").textContent = about.filter(Boolean).join(" · ");
  at("reason").value = "";
  at("trouble").hidden = true;
  at("part").focus({ preventScroll: true });
}

async function judge(decision) {
  if (!record) return;
  const judged = record;
  record = null; // a second key press judges nothing
  try {
    await ask("POST", `/api/v1/inspections/${judged.id}/reviews`, { decision, why: at("reason").value });
    const left = at("waiting").textContent;
    if (/^\d+$/.test(left)) at("waiting").textContent = Math.max(0, Number(left) - 1);
    await next();
  } catch (error) {
    record = judged;
    say(work.dataset.notKept + error.message);
  }
}

function say(what) {
  at("trouble").textContent = what;
  at("trouble").hidden = false;
}

function nextDefect() {
  if (!record?.defects.length) return;
  chosen = (chosen % record.defects.length) + 1;
  viewer.select(chosen);
}

at("ok").addEventListener("click", () => judge("OK"));
at("ng").addEventListener("click", () => judge("NG"));
at("later").addEventListener("click", next);
at("help").addEventListener("click", () => at("keys").showModal());
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input:not([type=checkbox])")) return;
  const does = {
    o: () => judge("OK"), n: () => judge("NG"), ArrowRight: next, d: nextDefect, "?": () => at("keys").showModal(),
    "+": () => viewer?.zoomBy(1.25), "-": () => viewer?.zoomBy(0.8), 0: () => viewer?.fit(),
  }[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!does || at("keys").open) return;
  event.preventDefault();
  does();
});
