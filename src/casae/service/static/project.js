/** A project: pictures come in, its label book is written, models are trained from it. */
import { ask, csrf, root } from "./ask.js";
import { curves } from "./curves.js";
import { clock, followed } from "./jobs.js";

const at = (id) => document.getElementById(id);
const name = at("project").dataset.project;
const TROUBLES = "casae-troubles";
const words = JSON.parse(at("words").textContent);
const say = (what) => {
  at("trouble").textContent = what;
  at("trouble").hidden = !what;
};

/* Pictures */

const coming = []; // files that wait, of all choices together
const troubles = [];
let taken = 0;
let sending = false;

async function add(files) {
  coming.push(...files);
  if (sending) return; // who sends takes them too
  sending = true;
  at("sent").hidden = false;
  for (let file = coming.shift(); file; file = coming.shift()) {
    const content = new FormData();
    content.set("image", file);
    const headers = csrf ? { "X-CSRF-Token": csrf } : {};
    try {
      const answer = await fetch(`${root}/api/v1/projects/${name}/pictures`, { method: "POST", body: content, headers });
      if (!answer.ok) troubles.push((await answer.json().catch(() => ({}))).detail ?? `${file.name}: ${answer.statusText}`);
    } catch (error) {
      troubles.push(`${file.name}: ${error.message}`);
    }
    taken += 1;
    at("sent").value = taken / (taken + coming.length);
  }
  sending = false;
  at("sent").hidden = true;
  if (isEdited()) return say([words.added_reload, ...troubles].join("\n"));
  sessionStorage.setItem(TROUBLES, troubles.join("\n")); // said beside the pictures that did come
  return location.reload();
}

/** Whether a form holds what nobody has kept yet. */
const isEdited = () =>
  [...document.querySelectorAll("#book input, #book textarea")].some((each) => each.value !== each.defaultValue);
addEventListener("beforeunload", (event) => sending && event.preventDefault());

say(sessionStorage.getItem(TROUBLES) ?? "");
sessionStorage.removeItem(TROUBLES);

at("files")?.addEventListener("change", (event) => add([...event.target.files]));
at("drop")?.addEventListener("dragover", (event) => event.preventDefault());
at("drop")?.addEventListener("drop", (event) => {
  event.preventDefault();
  add([...event.dataTransfer.files]);
});

/* The label book */

at("add-class")?.addEventListener("click", () => {
  const all = at("book").querySelectorAll("fieldset");
  const fresh = all[all.length - 1].cloneNode(true);
  fresh.dataset.class = "";
  fresh.querySelector("legend").textContent = all.length + 1;
  for (const each of fresh.querySelectorAll("input, textarea")) each.value = "";
  for (const each of fresh.querySelectorAll("figure")) each.remove();
  const away = button("✕", async () => fresh.remove());
  away.setAttribute("aria-label", `${words.class} ${all.length + 1} ✕`);
  fresh.append(away);
  all[all.length - 1].after(fresh);
  fresh.querySelector("input").focus();
});

at("book").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const before = await ask("GET", `/api/v1/projects/${name}/book`);
    const rows = [...at("book").querySelectorAll("fieldset")].map((each) => ({
      old: each.dataset.class,
      name: each.querySelector("[name=class]").value.trim(),
      definition: each.querySelector("[name=definition]").value,
      read: each.querySelector("[name=definition]").defaultValue,
    }));
    const known = rows.filter((each) => each.old);
    const same = (text) => text.replace(/\r\n?/g, "\n"); // as a text field has it
    if (known.some((each) => same(before.classes[each.old]?.definition ?? "") !== each.read)) throw new Error(words.book_changed);
    const classes_now = { classes: rows.map((each) => each.name), was: known.map((each) => each.old) };
    await ask("PUT", `/api/v1/projects/${name}/classes`, classes_now);
    const classes = Object.fromEntries(
      rows.map((each) => [each.name, { definition: each.definition, examples: before.classes[each.old]?.examples ?? [] }]),
    );
    await ask("PUT", `/api/v1/projects/${name}/book`, { classes });
    location.reload();
  } catch (error) {
    say(words.not_kept + error.message);
  }
});

/* Labels for other tools: a job makes a dataset of them, which comes as a ZIP */

at("export")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const format = new FormData(event.target).get("format");
  try {
    let made = name;
    if (format !== "folder") {
      made = `${name}-${format}-${new Date().toISOString().slice(0, 19).replace(/\D/g, "")}`;
      const wanted = { kind: "convert", dataset: `folder:${name}`, target: `${format}:${made}` };
      const { id } = await ask("POST", "/api/v1/jobs", wanted);
      const job = await followed(id, (now) => (at("exported").textContent = `${words[now.state]} ${Math.round(100 * now.progress)} %`));
      if (job.state !== "done") throw new Error(job.error ?? job.state);
    }
    at("exported").textContent = "";
    location.assign(`${root}/api/v1/datasets/${made}/file`);
  } catch (error) {
    at("exported").textContent = "";
    say(error.message);
  }
});

/* Training */

at("train")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = new FormData(event.target);
  try {
    const wanted = { kind: "train", dataset: `folder:${name}`, name, minutes: Number(form.get("minutes")), split: form.get("split") || null };
    show(await ask("POST", "/api/v1/jobs", wanted));
  } catch (error) {
    say(error.message);
  }
});

function show(job) {
  const row = at("jobs").insertAdjacentElement("afterbegin", document.createElement("article"));
  row.className = "job";
  row.dataset.job = job.id;
  followed(job.id, (now) => draw(row, now)).then((now) => draw(row, now), (error) => say(error.message));
}

function draw(row, job) {
  const facts = document.createElement("p");
  const left = job.left_s === null ? "" : ` · ${clock(job.left_s)} ${words.left}`;
  facts.textContent = `${words[job.state]} · ${job.stage} ${Math.round(100 * job.progress)} %${left}`;
  const chart = row.querySelector("canvas") ?? Object.assign(document.createElement("canvas"), { width: 320, height: 120, className: "curves" });
  row.replaceChildren(facts);
  if (job.state === "running") {
    const bar = Object.assign(document.createElement("progress"), { max: 1, value: job.progress });
    bar.setAttribute("aria-label", job.stage);
    chart.setAttribute("aria-hidden", "true");
    row.append(bar, chart, button(words.cancel, () => ask("POST", `/api/v1/jobs/${job.id}/cancel`)));
    ask("GET", `/api/v1/jobs/${job.id}/curves`).then((found) => curves(chart, found), () => {});
  }
  if (job.error) row.append(Object.assign(document.createElement("p"), { className: "bad", textContent: job.error }));
  if (job.state === "done") {
    const sha256 = job.result?.model_sha256 ?? "";
    const compare = Object.assign(document.createElement("a"), { textContent: words.compare });
    compare.href = `${root}/models?project=${encodeURIComponent(name)}&model=${sha256}`;
    row.append(compare);
    const file = `${job.arguments.name}.html`; // where pictures were held out
    ask("GET", `/api/v1/jobs/${job.id}/files`).then((files) => {
      if (!files.includes(file) || !row.contains(compare)) return; // it was drawn again meanwhile
      const page = Object.assign(document.createElement("a"), { textContent: words.training_page });
      page.href = `${root}/api/v1/jobs/${job.id}/files/${encodeURIComponent(file)}`;
      row.append(" · ", page);
    }, () => {});
  }
}

function button(text, does) {
  const made = Object.assign(document.createElement("button"), { type: "button", textContent: text });
  made.addEventListener("click", () => does().catch((error) => say(error.message)));
  return made;
}

const { length } = at("jobs").children;
if (!length) {
  const jobs = await ask("GET", "/api/v1/jobs?limit=200");
  jobs.filter((job) => job.kind === "train" && job.arguments.dataset === `folder:${name}`).slice(0, 5).reverse().forEach(show);
}
