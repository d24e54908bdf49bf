/** The labelling page: one picture after the other, each stroke kept as soon as it is drawn. */
import { ask, csrf, root } from "./ask.js";
import { keep, kept, keysOf, PRESETS, written } from "./keys.js";
import { colourOf, Labeller, UNNAMED } from "./labeller.js";
import { packed, Raster } from "./raster.js";
import * as unsaved from "./unsaved.js";
import { joined } from "./viewer.js";

const PAUSE_MS = 150; // after a stroke, before it is sent
const AGAIN_MS = 3000; // after the connection was lost
const LOOK_MS = 400; // that a picture is on screen before it can be submitted: a second press of a key is none
const at = (id) => document.getElementById(id);
const page = at("label").dataset;
const project = `/api/v1/projects/${page.project}`;
const second = page.second === "true";
const words = JSON.parse(at("words").textContent);
const classes = JSON.parse(at("classes").textContent);

let pictures = []; // names, in the order of the queue
const whole = new Set(); // those whose label was submitted
const unread = new Set(); // those that could not be read on this visit, which people go past
let picture = page.picture;
let reached = picture; // where the queue stands: the picture, or one after it that could not be read
let keys = keysOf(kept());
let labeller = null;
let version = 0;
let state = "none";
let waiting = null; // the rectangle that is not sent yet
let timer = null;
let sending = null;
let proposed = false;
let shownAt = 0; // when the picture came to the screen
let touched = false; // whether anybody has done something with it since
let busy = false; // another picture comes, or this one is being submitted

/* What goes to and comes from the server */

const query = (values) => new URLSearchParams({ ...values, ...(second && { second: true }) });
const named = (name) => name.split("/").map(encodeURIComponent).join("/");
const unsavedKey = (name = picture) => `${page.who}/${page.project}/${second}/${name}`;

async function read(name) {
  const answer = await fetch(`${root}${project}/label/${named(name)}?${query({})}`, { cache: "no-store" });
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).detail ?? answer.statusText);
  const image = await createImageBitmap(await answer.blob(), { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  const pen = new OffscreenCanvas(image.width, image.height).getContext("2d", { willReadFrequently: true });
  pen.drawImage(image, 0, 0);
  const { data } = pen.getImageData(0, 0, image.width, image.height);
  const values = new Uint8Array(image.width * image.height);
  for (let index = 0; index < values.length; index += 1) values[index] = data[4 * index];
  const raster = new Raster(image.width, image.height, values);
  return { raster, version: Number(answer.headers.get("X-Version")), state: answer.headers.get("X-State") };
}

async function post(path, values, body, name = picture) {
  const answer = await fetch(`${root}${project}/${path}/${named(name)}?${query(values)}`, {
    method: "POST", body, headers: { ...(csrf && { "X-CSRF-Token": csrf }), "Content-Type": "application/octet-stream" },
  });
  const said = await answer.json().catch(() => ({}));
  if (answer.status === 401) location.assign(`${root}/login?next=${encodeURIComponent(location.pathname + location.search)}`);
  if (!answer.ok) throw Object.assign(new Error(said.detail ?? answer.statusText), { status: answer.status });
  return said;
}

function changed(place) {
  waiting = joined(waiting, place);
  say("saving");
  clearTimeout(timer);
  timer = setTimeout(send, PAUSE_MS);
}

/** Send what is waiting, one change after the other; never during a stroke. */
function send() {
  clearTimeout(timer);
  if (labeller?.working) timer = setTimeout(send, PAUSE_MS);
  else sending ??= sendAll().finally(() => (sending = null));
  return sending;
}

async function sendAll() {
  while (waiting) {
    const place = waiting;
    waiting = null;
    const bytes = labeller.raster.cut(place);
    const key = unsavedKey();
    try {
      await unsaved.write(key, { version, place, bytes }).catch(() => {}); // a full or locked store must not stop it
      const told = await post("label", { version, ...place }, await packed(bytes));
      ({ version, state } = told);
      if (!waiting) await unsaved.drop(key).catch(() => {});
    } catch (error) {
      waiting = joined(place, waiting);
      if (error.status === 409) return conflict();
      if (error.status >= 400 && error.status < 500) return refused(key, error);
      say("not_saved");
      timer = setTimeout(send, AGAIN_MS);
      return;
    }
  }
  say("saved");
}

/** The server will never take it; where there is nothing to draw on any more, it must not stand in the way for ever. */
async function refused(key, error) {
  say("refused", error.status === 403 && error.message.includes("csrf") ? words.signed_in_anew : error.message);
  if ([401, 403, 408, 413, 429].includes(error.status)) return; // another time, or by somebody else
  waiting = null;
  await unsaved.drop(key).catch(() => {});
}

/** Everything is on the server when this is true. */
async function settled() {
  while (waiting || sending) {
    await send();
    if (waiting && !sending) return false;
  }
  return true;
}

/** Nothing is drawn, sent or left while this runs, so that a label lands on its own picture. */
async function alone(does) {
  if (busy) return;
  busy = true;
  if (labeller) labeller.locked = true;
  try {
    await labeller?.answered();
    labeller?.finish();
    if (await settled()) await does();
  } finally {
    busy = false;
    if (labeller) labeller.locked = false;
  }
}

const submit = () => labeller && (touched || performance.now() - shownAt > LOOK_MS) && alone(async () => {
  const began = performance.now();
  const isGood = labeller.raster.values.every((value) => !value);
  try {
    ({ version, state } = await post("submit", { version }));
    performance.measure("submit", { start: began });
    say(isGood ? "submitted_good" : "submitted");
    whole.add(picture);
    unread.delete(picture);
    const [before, after] = [pictures.slice(0, pictures.indexOf(picture)), pictures.slice(pictures.indexOf(picture) + 1)];
    const name = [...after, ...before].find((each) => !whole.has(each) && !unread.has(each));
    if (name) await open(name);
    else if (unread.size) say("not_read", [...unread].join(", "));
    else say("all_labelled");
  } catch (error) {
    if (error.status === 409) await conflict();
    else say("not_saved", error.message);
  }
});

async function conflict() {
  say("conflict");
  const mine = labeller.raster;
  const theirs = await read(picture);
  const differs = [];
  theirs.raster.values.forEach((value, index) => value !== mine.values[index] && differs.push(index));
  if (!differs.length) {
    ({ version, state } = theirs);
    waiting = null;
    await unsaved.drop(unsavedKey()).catch(() => {});
    return say("saved");
  }
  const place = mine.around(differs);
  showDifference(mine, theirs.raster, place);
  at("conflict").showModal();
  at("keep-mine").onclick = () => {
    at("conflict").close();
    ({ version } = theirs);
    changed(place);
  };
  at("take-theirs").onclick = async () => {
    at("conflict").close();
    waiting = null;
    await unsaved.drop(unsavedKey()).catch(() => {});
    await open(picture);
  };
}

/** The picture where both differ: what is mine alone, what is theirs alone, what both have. */
function showDifference(mine, theirs, place) {
  const pen = at("difference").getContext("2d");
  const edge = Math.max(16, place.width / 8, place.height / 8);
  const [left, top] = [Math.max(0, Math.floor(place.x - edge)), Math.max(0, Math.floor(place.y - edge))];
  const width = Math.min(mine.width - left, Math.ceil(place.width + 2 * edge));
  const height = Math.min(mine.height - top, Math.ceil(place.height + 2 * edge));
  Object.assign(pen.canvas, { width, height });
  pen.drawImage(labeller.image, left, top, width, height, 0, 0, width, height);
  const image = pen.getImageData(0, 0, width, height);
  for (let row = 0; row < height; row += 1) {
    for (let column = 0; column < width; column += 1) {
      const index = (top + row) * mine.width + left + column;
      const [one, other] = [mine.values[index], theirs.values[index]];
      if (!one && !other) continue;
      const colour = one === other ? [128, 128, 128] : one && !other ? [230, 159, 0] : other && !one ? [86, 180, 233] : [204, 121, 167];
      const first = 4 * (row * width + column);
      for (let band = 0; band < 3; band += 1) image.data[first + band] = (image.data[first + band] + 2 * colour[band]) / 3;
    }
  }
  pen.putImageData(image, 0, 0);
}

/* Pictures */

async function open(name) {
  say("loading");
  reached = name;
  try {
    const [found, left] = await Promise.all([read(name), unsaved.read(unsavedKey(name)).catch(() => null)]);
    picture = name; // from here on all of it is that of the new picture
    unread.delete(name);
    ({ version, state } = found);
    const before = labeller;
    const element = at("viewer").cloneNode(false);
    at("viewer").replaceWith(element);
    const fresh = new Labeller(element, {
      picture: `${root}${project}/view/${named(name)}`, raster: found.raster, asked, onsay: say,
      onchange: (place) => fresh === labeller && changed(place),
    });
    labeller = fresh;
    for (const name of ["tool", "value", "brush", "tolerance"]) if (before) labeller[name] = before[name];
    labeller.raster.protect = at("protect").checked;
    for (const each of document.querySelectorAll("[data-layer]")) showLayer(each.dataset.layer);
    await labeller.ready;
    shownAt = performance.now();
    touched = false;
    element.addEventListener("pointerdown", () => (touched = true));
    if (left) restore(left);
    else say(state === "done" ? "done" : state === "draft" ? "saved" : "empty");
    proposed = false;
    at("accept-all").disabled = true;
    if (labeller.tool === "propose") await propose();
  } catch (error) {
    unread.add(name);
    say("not_read", `${name}: ${error.message}`);
  }
  at("name").textContent = picture;
  const place = pictures.indexOf(picture);
  at("place").textContent = place >= 0 ? `${place + 1} / ${pictures.length}` : "";
  history.replaceState(null, "", `${root}/projects/${page.project}/label/${named(picture)}${location.search}`);
  mark();
}

/** What an earlier visit drew and could not send. */
function restore({ version: base, place, bytes }) {
  const { raster } = labeller;
  if (place.x + place.width > raster.width || place.y + place.height > raster.height) {
    unsaved.drop(unsavedKey()).catch(() => {}); // of another picture of this name
    return say(state === "done" ? "done" : "saved");
  }
  const { protect } = raster;
  raster.protect = false;
  raster.begin();
  for (let row = 0; row < place.height; row += 1) {
    for (let column = 0; column < place.width; column += 1) {
      raster.put((place.y + row) * raster.width + place.x + column, bytes[row * place.width + column]);
    }
  }
  raster.end();
  raster.protect = protect;
  labeller.repaint(place);
  version = base; // the server says so if somebody else has drawn meanwhile
  changed(place);
}

const go = (by) => alone(() => step(by));

async function step(by) {
  const name = pictures[pictures.indexOf(reached) + by];
  if (name) await open(name);
  else say(by > 0 ? "last" : "is_first");
}

async function propose() {
  if (proposed) return;
  proposed = true;
  const name = picture;
  try {
    const found = await ask("GET", `${project}/proposals/${named(name)}`);
    if (name !== picture) return;
    labeller.propose(found.items);
    at("accept-all").disabled = !found.items.length;
    const unnamed = found.items.filter((each) => each.value === UNNAMED).length;
    const what = found.items.length ? (unnamed ? "proposals_unnamed" : "proposals") : "no_proposals";
    say(found.model ? what : "no_model", unnamed || found.items.length || "");
  } catch (error) {
    say("not_read", error.message);
  }
}

const asked = {
  wand: async (x, y, tolerance) => answered(`wand/${named(picture)}?x=${x}&y=${y}&tolerance=${tolerance}`, "polygons"),
  scissors: async ([x, y], [toX, toY]) =>
    answered(`scissors/${named(picture)}?x=${x}&y=${y}&to_x=${toX}&to_y=${toY}`, "points"),
};

async function answered(path, what) {
  try {
    return (await ask("GET", `${project}/${path}`))[what];
  } catch (error) {
    say("not_read", error.message);
    return null;
  }
}

/* What is shown */

function say(name, more = "") {
  at("state").textContent = [words[name] ?? name, more].filter(Boolean).join(" ");
  at("state").dataset.kind = name;
}

function mark() {
  for (const each of document.querySelectorAll("[data-tool]")) {
    each.setAttribute("aria-pressed", String(each.dataset.tool === labeller?.tool));
  }
  for (const each of document.querySelectorAll("[data-value]")) {
    each.setAttribute("aria-pressed", String(Number(each.dataset.value) === labeller?.value));
  }
  at("viewer").dataset.using = labeller?.tool ?? "";
  at("brush").value = labeller?.brush ?? 8;
  at("brush-shown").value = `${labeller?.brush ?? 8} px`;
  for (const each of document.querySelectorAll("kbd[data-key]")) each.textContent = shown(keys[each.dataset.key]);
}

const wordOf = (name) => words[`tool_${name}`] ?? words[name === "next" ? "next_picture" : name];
const shown = (key) => key.replace("ArrowRight", "→").replace("ArrowLeft", "←").replace("Ctrl+ ", "Ctrl+␣");

function showLayer(name) {
  const on = document.querySelector(`[data-layer="${name}"]`).checked;
  labeller?.layer(name, on ? Number(document.querySelector(`[data-opacity="${name}"]`).value) : 0);
}

function use(tool) {
  labeller?.use(tool);
  if (tool === "propose") propose();
  mark();
}

function choose(value) {
  if (labeller) labeller.value = value;
  if (labeller && ["eraser", "delete", "pan"].includes(labeller.tool)) labeller.use("brush");
  mark();
}

function brush(size) {
  if (labeller) labeller.brush = Math.min(200, Math.max(1, Math.round(size)));
  labeller?.hover(...(labeller.here ?? [0, 0]));
  mark();
}

const actions = {
  ...Object.fromEntries([...document.querySelectorAll("[data-tool]")].map((each) => [each.dataset.tool, () => use(each.dataset.tool)])),
  undo: () => labeller?.undo(), redo: () => labeller?.redo(), submit, next: () => go(1), previous: () => go(-1),
  smaller: () => brush(Math.min(labeller.brush - 1, labeller.brush / 1.25)),
  larger: () => brush(Math.max(labeller.brush + 1, labeller.brush * 1.25)),
  protect: () => at("protect").click(), accept_all: acceptAll, fit: () => labeller?.fit(), help: () => showKeys(),
};

async function acceptAll() {
  await propose();
  labeller?.accept();
  touched = true;
}

for (const each of document.querySelectorAll("[data-tool]")) each.addEventListener("click", () => use(each.dataset.tool));
for (const each of document.querySelectorAll("[data-value]")) {
  each.style.setProperty("--class", colourOf(Number(each.dataset.value)));
  each.addEventListener("click", () => choose(Number(each.dataset.value)));
}
for (const each of document.querySelectorAll("[data-layer], [data-opacity]")) {
  each.addEventListener("input", () => showLayer(each.dataset.layer ?? each.dataset.opacity));
}
for (const each of document.querySelectorAll("[data-do]")) each.addEventListener("click", () => actions[each.dataset.do]());
for (const each of document.querySelectorAll("[data-tool], [data-value], [data-do]")) {
  // After a click keys mean the picture again: Enter submits, and does not press the button once more.
  each.addEventListener("click", (event) => event.detail && at("viewer").querySelector("canvas").focus({ preventScroll: true }));
}
at("brush").addEventListener("input", (event) => brush(Number(event.target.value)));
at("tolerance").addEventListener("input", (event) => labeller && (labeller.tolerance = Number(event.target.value)));
at("protect").addEventListener("input", (event) => labeller && (labeller.raster.protect = event.target.checked));
at("order").addEventListener("change", (event) => {
  const search = new URLSearchParams(location.search);
  search.set("order", event.target.value);
  location.search = search;
});

document.addEventListener("keydown", (event) => {
  const writes = event.target.matches("input:not([type=checkbox]):not([type=range]), select, textarea");
  if (busy || writes || document.querySelector("dialog[open]")) return;
  if (event.target.matches("a, button, summary") && ["Enter", " "].includes(event.key)) return;
  if (event.target.matches("input[type=range]") && event.key.startsWith("Arrow")) return;
  if (event.key === " " && labeller) labeller.panning = true;
  const key = written(event);
  const does = polygonKeys(event) ?? (/^[1-9]$/.test(key) && Number(key) <= classes.length ? () => choose(Number(key)) : actionOf(key));
  if (!does) return;
  event.preventDefault();
  if (!event.repeat || ["undo", "redo", "smaller", "larger"].some((name) => keys[name] === key)) does();
});
document.addEventListener("keyup", (event) => event.key === " " && labeller && (labeller.panning = false));

function polygonKeys(event) {
  if (!labeller?.points.length) return null;
  return { Enter: () => labeller.close(), Escape: () => labeller.drop(), Backspace: () => labeller.dropLast() }[event.key] ?? null;
}

function actionOf(key) {
  return actions[Object.keys(keys).find((name) => keys[name] === key)];
}

document.addEventListener("dblclick", (event) => event.target.closest("#viewer") && labeller?.points.length && labeller.close());
addEventListener("beforeunload", (event) => (waiting || sending) && event.preventDefault());
addEventListener("online", send);

/* Keys, which each person may change */

function showKeys() {
  const { preset, changed } = kept();
  at("preset").replaceChildren(...Object.keys(PRESETS).map((name) => new Option(name, name, false, name === preset)));
  at("key-rows").replaceChildren(...Object.entries(keysOf({ preset, changed })).map(([name, key]) => keyRow(name, key)));
  if (!at("keys").open) at("keys").showModal();
}

function keyRow(name, key) {
  const row = document.createElement("tr");
  const button = Object.assign(document.createElement("button"), { type: "button", textContent: shown(key) });
  button.setAttribute("aria-label", `${wordOf(name)}: ${key}`);
  button.addEventListener("click", () => {
    button.textContent = words.press_key;
    button.addEventListener("keydown", (event) => {
      if (["Control", "Shift", "Alt", "Meta"].includes(event.key)) return;
      event.preventDefault();
      event.stopPropagation();
      const { preset, changed } = kept();
      const pressed = written(event);
      const taken = Object.keys(keys).find((each) => each !== name && keys[each] === pressed);
      if (event.key === "Escape" || taken) {
        button.textContent = event.key === "Escape" ? shown(key) : `${shown(pressed)}: ${wordOf(taken)}`;
        return;
      }
      keep(preset, { ...changed, [name]: pressed });
      apply();
    });
  });
  row.append(Object.assign(document.createElement("td"), { textContent: wordOf(name) }), document.createElement("td"));
  row.lastChild.append(button);
  return row;
}

function apply() {
  keys = keysOf(kept());
  showKeys();
  mark();
}

at("preset").addEventListener("change", (event) => {
  keep(event.target.value, {});
  apply();
});

/* The label book */

at("example")?.addEventListener("click", () => labeller && at("example-dialog").showModal());
at("example-dialog").addEventListener("close", async () => {
  if (at("example-dialog").returnValue !== "keep") return;
  const { belongs, note } = Object.fromEntries(new FormData(at("example-dialog").querySelector("form")));
  try {
    const { classes: book } = await ask("GET", `${project}/book`);
    const entry = book[classes[labeller.value - 1]] ?? { definition: "", examples: [] };
    entry.examples.push({ picture, ...labeller.inView(), belongs: belongs === "yes", note });
    await ask("PUT", `${project}/book`, { classes: { ...book, [classes[labeller.value - 1]]: entry } });
    say("kept");
  } catch (error) {
    say("not_read", error.message);
  }
});

/** What earlier visits drew on other pictures and could not send. */
async function sendLeft() {
  const mine = `${page.who}/${page.project}/${second}/`;
  const left = (await unsaved.keys().catch(() => [])).filter((key) => key.startsWith(mine) && key !== unsavedKey(picture || pictures[0]));
  for (const key of left) {
    const name = key.slice(mine.length);
    const change = await unsaved.read(key).catch(() => null);
    if (!change) continue;
    try {
      const { version: base, place, bytes } = change;
      await post("label", { version: base, ...place }, await packed(bytes), name);
      await unsaved.drop(key);
    } catch (error) {
      if ([400, 404, 410, 422].includes(error.status)) await unsaved.drop(key).catch(() => {}); // there is nothing to draw on
      else if (error.status === 409 && !pictures.includes(name)) pictures.push(name); // it is asked there which one counts
    }
  }
}

/* Begin */

const wanted = new URLSearchParams(location.search).get("order") ?? "name";
const queue = await ask("GET", `${project}/pictures?${query({ order: wanted })}`);
pictures = queue.items.map((each) => each.picture);
for (const each of queue.items) if (each.state === "done") whole.add(each.picture);
const first = picture || pictures[0];
at("order").value = wanted;
if (first && !pictures.includes(first)) pictures.unshift(first);
await sendLeft();
if (first) await open(first);
else say(wanted === "name" ? "no_pictures" : "all_labelled");
document.body.dataset.ready = "true";
