/** Parts for people to judge, one after the other, by keyboard: what they truly are, and what their defects are. */
import { ask, layers, root, viewerOf } from "./ask.js";

const MANY = 100;
const LOOK_MS = 5000; // how often an empty queue is looked at again
const HELD = ["+", "-", "d"]; // keys that go on while they are held; a verdict takes a press of its own
const ALWAYS = ["u", "ArrowRight", "?"]; // keys that do not mean the part on screen
const at = (id) => document.getElementById(id);
const words = JSON.parse(at("words").textContent);
const work = at("work");
const KEPT = "casae-review-project";
let queue = [];
let looked = new Set(); // of this visit, so that what was put off comes at the end
let viewer = null;
let record = null; // of the part on screen
let seen = false; // whether its picture is there, or was said to be gone: before that nobody judges it
let turn = 0; // counts the parts that were asked for, of which the last one is shown
let waits = null; // until an empty queue is looked at again
let last = null; // id of the part that was judged before
let chosen = 0;
let classes = [];
let corrected = new Map(); // number of a defect -> its class, null where it is none
let missed = []; // {class, polygon}
let drawing = null; // corners of a missed defect
let why = ""; // the part was decided so, in the language of the page
let reviewed = 0; // how often the part was judged before, as far as this page knows
const known = new Map(); // hash of a model -> its classes
const WORK = "casae-review-work"; // what was said of parts and not yet kept, by their ids, as long as this tab lives

const work_of = () => JSON.parse(sessionStorage.getItem(WORK) ?? "{}");

/** What was corrected of the part on screen outlives Later, a session that ends, and a reload. */
function keepWork() {
  if (!record) return;
  const { [record.id]: _, ...others } = work_of();
  const mine = { corrected: [...corrected], missed, why: at("reason").value };
  const empty = !mine.corrected.length && !missed.length && !mine.why;
  sessionStorage.setItem(WORK, JSON.stringify(empty ? others : { ...others, [record.id]: mine }));
}

/** What a review said, as it is drawn here. */
const workOfReview = ({ findings, why }) => ({
  corrected: findings.filter((each) => each.number).map((each) => [each.number, each.class]),
  missed: findings.filter((each) => !each.number).flatMap((each) => each.polygons.map((polygon) => ({ class: each.class, polygon }))),
  why,
});

const applyLayers = layers(() => viewer);
const wanted = {
  doubtful: { decision: "REVIEW" }, unlike: { least_novelty: 1 }, rejected: { decision: "NG" },
  blind: { sample: work.dataset.share }, // of all parts: who looks at OK parts alone would know
};
const blind = () => at("queue").value === "blind";

async function fill() {
  const query = new URLSearchParams({ ...wanted[at("queue").value], reviewed: false, limit: MANY });
  const page = await ask("GET", `/api/v1/inspections?${query}`);
  at("waiting").textContent = page.next ? `${page.items.length}+` : page.items.length;
  const fresh = page.items.filter((item) => !looked.has(item.id));
  queue = (fresh.length ? fresh : page.items).map((item) => item.id);
  if (!fresh.length) looked = new Set();
}

async function next() {
  const could = seen;
  hold(); // while the queue is read, no key is meant for the part that is left
  try {
    do {
      if (!queue.length) await fill();
    } while (!(await open(queue[0]).then((is) => (queue.shift(), is))));
    if (queue.length) ask("GET", `/api/v1/inspections/${queue[0]}`).catch(() => {}); // so that the browser has met it
  } catch (error) {
    say(error.status ? error.message : words.service_away);
    if (record && could) hold(false);
    else waits = setTimeout(next, LOOK_MS); // nobody can judge: it goes on by itself
  }
}

/** Show a part, or that none waits; false where somebody has judged it since the queue was read. */
async function open(id, isJudged = false) {
  const mine = (turn += 1);
  record = null;
  hold();
  clearTimeout(waits);
  at("trouble").hidden = true;
  at("empty").hidden = Boolean(id);
  work.hidden = !id;
  if (!id) {
    waits = setTimeout(() => mine === turn && next(), LOOK_MS);
    await elsewhere();
    return true;
  }
  looked.add(id);
  const { record: found, reviews, reason } = await ask("GET", `/api/v1/inspections/${id}`);
  if (reviews.length && !isJudged && mine === turn) return false;
  const names = await classesOf(found);
  if (mine !== turn) return true;
  record = found;
  classes = names;
  reviewed = reviews.length;
  why = reason;
  show(isJudged && reviews.length ? workOfReview(reviews.at(-1)) : work_of()[id]);
  viewer.shown.then(() => mine === turn && hold(false));
  return true;
}

/** Whether a verdict waits for the picture. */
function hold(waits = true) {
  seen = !waits;
  at("ok").disabled = at("ng").disabled = waits;
}

/** Where this queue is empty: which other one is not. */
async function elsewhere() {
  const others = [...at("queue").options].filter((each) => each.value !== at("queue").value && each.value !== "blind");
  const full = await Promise.all(others.map(async (each) => {
    const query = new URLSearchParams({ ...wanted[each.value], reviewed: false, limit: 1 });
    return (await ask("GET", `/api/v1/inspections?${query}`)).items.length ? each.text : null;
  }));
  const named = full.filter(Boolean).join(", ");
  at("elsewhere").textContent = named ? `${words.elsewhere} ${named}` : "";
}

/** Back to the part that was judged last, to judge it again: the later word counts. */
async function again() {
  if (!last) return;
  if (record) queue.unshift(record.id);
  const id = last;
  last = null;
  at("undo").hidden = true;
  await open(id, true).catch((error) => say(error.message));
}

/** Of the model; of one that is not here any more, those that it found. */
async function classesOf({ model_sha256: sha256, defects }) {
  if (!known.has(sha256)) {
    const model = await ask("GET", `/api/v1/models/${sha256}`).catch(() => null);
    known.set(sha256, model?.classes ?? [...new Set(defects.map((each) => each.class))]);
  }
  return known.get(sha256);
}

function show(before = { corrected: [], missed: [], why: "" }) {
  const old = at("viewer");
  const fresh = old.cloneNode(false);
  old.replaceWith(fresh);
  chosen = 0;
  corrected = new Map(before.corrected);
  missed = before.missed;
  draw(null);
  const shown = blind() ? { ...record, defects: [] } : record;
  viewer = viewerOf(fresh, shown, choose, work.dataset.gone);
  if (blind()) viewer.sources.probability = null;
  viewer.ready.then(applyLayers, () => {});
  viewer.press = (x, y, event) => Boolean(drawing) && event.button === 0;
  viewer.release = (x, y) => drawing && corner(x, y); // and not where a second finger came
  const { doubled } = viewer;
  viewer.doubled = () => (drawing ? closeMissed() : doubled.call(viewer));
  viewer.paintOver = paintMissed;
  at("part").textContent = record.part.serial ?? record.source.split("/").at(-1);
  at("why").textContent = blind() ? words.blind_help : why;
  const about = [record.part.product, record.part.batch, record.part.station, record.model];
  at("about").textContent = about.filter(Boolean).join(" · ");
  at("reason").value = before.why;
  at("class").replaceChildren(...classes.map((name) => new Option(name, name)));
  at("take").hidden = !at("project").options.length;
  const projects = [...at("project").options].map((each) => each.value);
  const mine = [record.part.product, localStorage.getItem(KEPT)].find((name) => projects.includes(name));
  if (mine) at("project").value = mine;
  showFindings();
  at("part").focus({ preventScroll: true });
  at("viewer").scrollIntoView({ block: "nearest" }); // on a phone the buttons are there before the picture
}

function showFindings() {
  const rows = blind() || !record ? [] : record.defects.map((defect) => {
    const row = document.createElement("div");
    row.dataset.number = defect.number;
    const choice = document.createElement("select");
    choice.setAttribute("aria-label", `${words.class} ${defect.number}`);
    const names = [...new Set([defect.class, ...classes])];
    choice.replaceChildren(...names.map((name) => new Option(name, name)), new Option(words.no_defect, ""));
    choice.value = corrected.has(defect.number) ? (corrected.get(defect.number) ?? "") : defect.class;
    choice.addEventListener("change", () => correct(defect.number, choice.value || null));
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: `${defect.number} · ${Math.round(defect.length_px)} px` });
    button.addEventListener("click", () => {
      choose(defect.number);
      viewer.select(defect.number);
    });
    row.append(button, choice);
    row.classList.toggle("changed", corrected.has(defect.number));
    return row;
  });
  const more = missed.map(({ class: name }, index) => {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: `+ ${name} ✕` });
    button.addEventListener("click", () => {
      missed.splice(index, 1);
      showFindings();
      keepWork();
      viewer.draw();
    });
    return button;
  });
  at("findings").replaceChildren(...rows, ...more);
  choose(chosen);
}

function choose(number) {
  chosen = number ?? 0;
  for (const row of at("findings").querySelectorAll("[data-number]")) {
    row.setAttribute("data-chosen", String(Number(row.dataset.number) === chosen));
  }
}

function correct(number, name) {
  if (!record) return; // the next part comes
  const { class: found } = record.defects.find((each) => each.number === number);
  if (name === found) corrected.delete(number);
  else corrected.set(number, name);
  const row = at("findings").querySelector(`[data-number="${number}"]`); // which stays: the keyboard is in it
  row.classList.toggle("changed", corrected.has(number));
  row.querySelector("select").value = name ?? "";
  keepWork();
}

/* A defect that was missed, drawn corner by corner */

function draw(corners) {
  drawing = corners;
  at("missed").setAttribute("aria-pressed", String(Boolean(corners)));
  viewer?.draw();
}

function corner(x, y) {
  drawing.push([Math.round(x), Math.round(y)]);
  viewer.draw();
}

function closeMissed() {
  if (drawing?.length > 2) missed.push({ class: at("class").value, polygon: drawing });
  draw(null);
  showFindings();
  keepWork();
}

function paintMissed(pen) {
  pen.globalAlpha = 1;
  pen.strokeStyle = "#ff2bd6";
  pen.lineWidth = (2 * (window.devicePixelRatio || 1)) / viewer.zoom;
  for (const polygon of [...missed.map((each) => [...each.polygon, each.polygon[0]]), drawing ?? []]) {
    pen.beginPath();
    polygon.forEach(([x, y], index) => (index ? pen.lineTo(x + 0.5, y + 0.5) : pen.moveTo(x + 0.5, y + 0.5)));
    pen.stroke();
  }
}

/* What is said */

async function judge(decision) {
  if (!record || !seen) return;
  if (drawing) closeMissed();
  const judged = record;
  hold(); // a second key press judges nothing
  const findings = [...corrected].map(([number, name]) => ({ number, class: name }));
  findings.push(...missed.map((each) => ({ class: each.class, polygons: [each.polygon] })));
  try {
    const said = { decision, why: at("reason").value, blind: blind(), findings, reviews_seen: reviewed };
    await ask("POST", `/api/v1/inspections/${judged.id}/reviews`, said);
    const { [judged.id]: _, ...others } = work_of();
    sessionStorage.setItem(WORK, JSON.stringify(others));
    if (at("accept").checked && !at("take").hidden) await take(judged);
    last = judged.id;
    at("undo").hidden = false;
    const left = at("waiting").textContent;
    if (/^\d+$/.test(left)) at("waiting").textContent = Math.max(0, Number(left) - 1);
  } catch (error) {
    if (record === judged) hold(false);
    if (error.status === 409) reviewed += 1; // seen now: a second press is meant
    return say(work.dataset.notKept + error.message);
  }
  await next();
}

/** Into the labels of a project, as a draft that may be mended there. */
async function take({ id }) {
  const project = at("project").value;
  localStorage.setItem(KEPT, project);
  try {
    const { picture } = await ask("POST", `/api/v1/inspections/${id}/labels`, { project });
    const link = Object.assign(document.createElement("a"), { textContent: `${project}: ${picture}`, target: "_blank" });
    link.href = `${root}/projects/${project}/label/${encodeURIComponent(picture)}`;
    at("taken").replaceChildren(`${words.taken} `, link);
  } catch (error) {
    at("taken").textContent = work.dataset.notKept + error.message; // the judgement stands; only the label does not
  }
}

function say(what) {
  at("trouble").textContent = what;
  at("trouble").hidden = false;
}

function nextDefect() {
  if (!record?.defects.length || blind()) return;
  choose((chosen % record.defects.length) + 1);
  viewer.select(chosen);
}

function name(index) {
  if (drawing) at("class").selectedIndex = Math.min(index, classes.length - 1);
  else if (chosen && classes[index]) correct(chosen, classes[index]);
}

at("reason").addEventListener("input", keepWork);
at("ok").addEventListener("click", () => judge("OK"));
at("ng").addEventListener("click", () => judge("NG"));
at("later").addEventListener("click", next);
at("missed").addEventListener("click", () => (drawing ? closeMissed() : draw([])));
at("help").addEventListener("click", () => at("keys").showModal());
at("queue").addEventListener("change", () => {
  queue = [];
  looked = new Set();
  at("accept").checked = false; // asked for again where other parts come
  next();
});
at("undo").addEventListener("click", again);
document.addEventListener("keydown", (event) => {
  const writes = event.target.matches("input:not([type=checkbox]):not([type=range]), select, textarea");
  if (event.ctrlKey || event.metaKey || event.altKey || writes || at("keys").open) return;
  if (event.key.startsWith("Arrow") && event.target.matches("[type=range]")) return; // moves the slider
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const does = {
    o: () => judge("OK"), n: () => judge("NG"), u: again, ArrowRight: next, d: nextDefect, "?": () => at("keys").showModal(),
    x: () => chosen && correct(chosen, corrected.get(chosen) === null ? record.defects[chosen - 1].class : null),
    m: () => (drawing ? closeMissed() : draw([])), a: () => at("accept").click(),
    "+": () => viewer?.zoomBy(1.25), "-": () => viewer?.zoomBy(0.8), 0: () => viewer?.fit(),
    ...(drawing && { Enter: closeMissed, Escape: () => draw(null) }),
  }[key] ?? (/^[1-9]$/.test(key) ? () => name(Number(key) - 1) : null);
  const presses = ["Enter", " "].includes(key) && event.target.matches("button");
  if (event.repeat && !HELD.includes(key) && (does || presses)) return event.preventDefault();
  if (!does || (!record && !ALWAYS.includes(key))) return;
  event.preventDefault();
  does();
});
await next();
