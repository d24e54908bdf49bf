/** Cards and counts as inspections come; the page is whole without this. */
import { ask, root } from "./ask.js";

const list = document.getElementById("cards");
const SIGNS = { OK: "✓", REVIEW: "?", NG: "✗" };
const AGAIN_MS = 3000;
const SOUND = "casae-sound";
const MOST_TOLD = 5000;

setTimeout(() => location.reload(), Number(list.dataset.shiftMs)); // counts are those of a shift
const sound = document.getElementById("sound");
sound.checked = localStorage.getItem(SOUND) === "on";
sound.addEventListener("change", () => localStorage.setItem(SOUND, sound.checked ? "on" : "off"));

const { since } = list.dataset; // what is older is counted already
const told = new Set(); // an event may come twice
const events = new EventSource(`${root}/api/v1/events?since_id=${since}`);
events.onopen = () => (document.getElementById("lost").hidden = true);
events.onerror = () => {
  document.getElementById("lost").hidden = false;
  if (events.readyState === EventSource.CLOSED) setTimeout(anew, AGAIN_MS); // it was refused, and will not try again
};
events.addEventListener("end", () => {
  events.close();
  events.onerror();
});

/** Load the page again when the service answers; who is signed out is asked to sign in. */
async function anew() {
  try {
    await ask("GET", "/api/v1/session");
    location.reload();
  } catch {
    setTimeout(anew, AGAIN_MS);
  }
}

events.addEventListener("inspection", (event) => {
  const row = JSON.parse(event.data);
  if (told.has(row.id)) return;
  told.add(row.id);
  if (told.size > MOST_TOLD) told.delete(told.values().next().value);
  document.getElementById("empty").hidden = true;
  const isShown = Boolean(list.querySelector(`[data-id="${row.id}"]`));
  if (!isShown) list.prepend(card(row));
  while (list.children.length > Number(list.dataset.most)) list.lastElementChild.remove();
  const count = document.querySelector(`[data-count="${row.decision}"]`);
  count.textContent = Number(count.textContent) + 1;
  if (!isShown) watchRow(row.decision);
});

/** So many NG parts in a row are an alarm, which is heard where sound was switched on. */
const ROW = 3;
const before = [...list.children].findIndex((each) => each.dataset.decision !== "NG");
let inRow = before < 0 ? list.children.length : before;
if (inRow) warn();

function watchRow(decision) {
  inRow = decision === "NG" ? inRow + 1 : 0;
  warn();
  if (inRow >= ROW && document.getElementById("sound").checked) beep();
}

function warn() {
  const alarm = document.getElementById("alarm");
  alarm.textContent = alarm.dataset.text.replace("{}", inRow);
  alarm.hidden = inRow < ROW;
}

function beep() {
  const sound = new AudioContext();
  const tone = sound.createOscillator();
  tone.connect(sound.destination);
  tone.frequency.value = 660;
  tone.start();
  tone.stop(sound.currentTime + 0.3);
  tone.onended = () => sound.close();
}

function card(row) {
  const item = make("li", "card new");
  item.dataset.id = row.id;
  item.dataset.decision = row.decision;
  const link = item.appendChild(document.createElement("a"));
  link.href = `${root}/inspections/${row.id}`;
  const image = link.appendChild(make("div", "picture")).appendChild(document.createElement("img"));
  image.alt = "";
  image.src = `${root}/api/v1/inspections/${row.id}/overlay`;
  const facts = link.appendChild(make("div", "facts"));
  const head = facts.appendChild(make("div", "row"));
  const words = list.dataset[row.decision.toLowerCase()];
  head.appendChild(make("span", `verdict ${row.decision}`, `${SIGNS[row.decision]} ${words}`));
  head.appendChild(make("span", "soft", row.inspected_at.slice(0, 19).replace("T", " ")));
  facts.appendChild(make("b", "", row.serial ?? row.source.split("/").at(-1)));
  const about = [row.product, row.batch, row.station, `${list.dataset.defects}: ${row.defects}`];
  facts.appendChild(make("span", "soft", about.filter(Boolean).join(" · ")));
  return item;
}

function make(name, kind, text = "") {
  const made = document.createElement(name);
  made.className = kind;
  made.textContent = text;
  return made;
}
