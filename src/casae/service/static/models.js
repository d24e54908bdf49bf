/** Models: what judges, which of two is better, and where the limits of a verdict should lie. */
import { ask, csrf, root } from "./ask.js";
import { followed } from "./jobs.js";

const at = (id) => document.getElementById(id);
const words = JSON.parse(at("words").textContent);
const number = new Intl.NumberFormat(document.documentElement.lang, { maximumSignificantDigits: 4 });
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function say(what) {
  at("trouble").textContent = what;
  at("trouble").hidden = !what;
  if (what) at("trouble").scrollIntoView({ block: "nearest" });
}

/** What a form or button does; a second press meanwhile does nothing. */
const attempt = (does) => {
  let busy = false;
  return async (event) => {
    event.preventDefault();
    if (busy) return;
    busy = true;
    say("");
    try {
      await does(event);
    } catch (error) {
      say(error.message);
    } finally {
      busy = false;
    }
  };
};

/** To another page; nothing more happens on this one. */
function leave(path) {
  addEventListener("pageshow", ({ persisted }) => persisted && location.reload()); // who comes back may press again
  location.assign(path);
  return new Promise(() => {});
}

/* What judges */

at("activate")?.addEventListener("submit", attempt(async () => {
  const { product, model, rules, why } = Object.fromEntries(new FormData(at("activate")));
  const chosen = rules === "same" ? {} : { rules_sha256: rules || null };
  await ask("POST", "/api/v1/activations", { product, model_sha256: model, why, ...chosen });
  await leave(`${root}/models?project=${encodeURIComponent(product)}`);
}));

at("roll-back")?.addEventListener("click", attempt(async () => {
  const { product, why } = Object.fromEntries(new FormData(at("activate")));
  await ask("POST", "/api/v1/activations/rollback", { product, why });
  await leave(`${root}/models?project=${encodeURIComponent(product)}`);
}));

/* Which of two is better */

at("compare").addEventListener("submit", attempt(async () => {
  const { project, split, first, second } = Object.fromEntries(new FormData(at("compare")));
  const wanted = { kind: "compare", dataset: `folder:${project}`, split, first_sha256: first, second_sha256: second };
  at("comparing").hidden = false;
  try {
    const { id } = await ask("POST", "/api/v1/jobs", wanted);
    const job = await followed(id, (now) => (at("comparing").value = now.progress));
    if (job.state !== "done") throw new Error(job.error ?? job.state);
    showCompared(await ask("GET", `/api/v1/jobs/${id}/files/compared.json`), project);
    at("changed").onload = () => (at("changed").hidden = false);
    at("changed").src = `${root}/api/v1/jobs/${id}/files/changed.jpg`;
  } finally {
    at("comparing").hidden = true;
  }
}));

function row(cells) {
  const made = document.createElement("tr");
  for (const [index, text] of cells.entries()) {
    const cell = document.createElement("td");
    if (text instanceof Node) cell.append(text);
    else cell.textContent = text;
    if (index) cell.className = "number";
    made.append(cell);
  }
  return made;
}

const told = (score) => {
  if (score.value === null) return "–";
  const counted = score.total === null ? "" : ` · ${score.hits} / ${score.total}`;
  return `${score.value.toFixed(3)}${score.low === null ? "" : ` (${score.low.toFixed(3)} – ${score.high.toFixed(3)})`}${counted}`;
};

function showCompared({ scores, wins, learned, gain, pictures }, project) {
  const better = gain.low > 0 ? words.b_is_better : gain.high !== null && gain.high < 0 ? words.a_is_better : words.not_told;
  const spread = gain.low === null ? words.too_few_pictures : `95 %: ${gain.low.toFixed(3)} – ${gain.high.toFixed(3)}`;
  const known = learned.first + learned.second ? ` · ${words.has_learned} A ${learned.first}, B ${learned.second}` : "";
  at("gain").textContent =
    `${better} · IoU B − A ${gain.value.toFixed(3)} (${spread}) · A ${wins.first}, = ${wins.alike}, B ${wins.second}${known}`;
  at("scores").replaceChildren(...Object.entries(scores).map(([name, [a, b]]) => row([name.replaceAll("_", " "), told(a), told(b)])));
  const most = [...pictures].sort((a, b) => Math.abs(b.gain) - Math.abs(a.gain)).slice(0, 20);
  at("wins").replaceChildren(...most.map((each) => {
    const link = Object.assign(document.createElement("a"), { textContent: each.name });
    link.href = `${root}/projects/${project}/label/${each.name.split("/").map(encodeURIComponent).join("/")}`;
    return row([link, each.iou[0].toFixed(3), each.iou[1].toFixed(3), each.gain.toFixed(3)]);
  }));
  at("compared").hidden = false;
  at("compared").scrollIntoView({ block: "start" });
}

/* Where the limits should lie: up to the first one a part is accepted, up to the second one a person looks at it */

let parts = []; // {value, truth} of each part that a person judged
let most = 1;

async function load() {
  const query = { field: at("limit-field").value, since: "1970-01-02T00:00:00Z" };
  if (at("limit-product").value) query.product = at("limit-product").value;
  parts = await ask("GET", `/api/v1/statistics/judged?${new URLSearchParams(query)}`);
  delete exact.accept;
  delete exact.review;
  most = Math.max(0, ...parts.map((each) => each.value));
  for (const id of ["accept", "review", "cheapest", "keep-limits"]) if (at(id)) at(id).disabled = !most;
  drawLimits();
}

/** Sliders go by the square root, so that small sizes have room; a limit that they show has three digits. */
const exact = {}; // limits that were reckoned, until their slider is moved
const limitOf = (id) => exact[id] ?? Number(((at(id).value / 1000) ** 2 * most).toPrecision(3));
function slide(id, value) {
  exact[id] = value;
  at(id).value = Math.round(1000 * Math.sqrt(value / most));
}

/** The number with the fewest digits from one value on and below the next larger one: parts stay on their sides of it. */
function limitFrom(value, larger) {
  const middle = (value + larger) / 2;
  for (let digits = 1; digits < 16; digits += 1) {
    const short = Number(middle.toPrecision(digits));
    if (short >= value && short < larger) return short;
  }
  return value;
}

function costOf(accept, review) {
  const [escape, reject, look] = ["escape", "reject", "look"].map((name) => Number(at(`cost-${name}`).value) || 0);
  const count = (truth, from, to) => parts.filter((each) => each.truth === truth && each.value > from && each.value <= to).length;
  const escapes = count("NG", -1, accept);
  const rejects = count("OK", review, Infinity);
  const looks = parts.filter((each) => each.value > accept && each.value <= review).length;
  return { escapes, rejects, looks, cost: escapes * escape + rejects * reject + looks * look };
}

function drawLimits() {
  if (!most) {
    at("accept-shown").value = at("review-shown").value = "–";
    at("histogram").getContext("2d").clearRect(0, 0, at("histogram").width, at("histogram").height);
    at("cost").textContent = parts.length ? words.none_has_measure : words.nobody_judged;
    return;
  }
  const [accept, review] = [limitOf("accept"), Math.max(limitOf("accept"), limitOf("review"))];
  at("accept-shown").value = number.format(accept);
  at("review-shown").value = number.format(review);
  const bins = 48;
  const place = (value) => Math.min(bins - 1, Math.floor(bins * Math.sqrt(value / most)));
  const counts = { OK: new Array(bins).fill(0), NG: new Array(bins).fill(0) };
  for (const each of parts) counts[each.truth]?.[place(each.value)] !== undefined && (counts[each.truth][place(each.value)] += 1);
  const canvas = at("histogram");
  canvas.width = canvas.clientWidth;
  const pen = canvas.getContext("2d");
  const [width, height, floor] = [canvas.width, canvas.height, canvas.height - 24];
  pen.clearRect(0, 0, width, height);
  const highest = Math.max(1, ...counts.OK, ...counts.NG);
  for (const [truth, shift, name] of [["OK", 0, "--ok"], ["NG", 0.45, "--ng"]]) {
    pen.fillStyle = colour(name);
    counts[truth].forEach((count, bin) => {
      const tall = (count / highest) * (floor - 16);
      pen.fillRect(((bin + shift) * width) / bins, floor - tall, (0.42 * width) / bins, tall);
    });
  }
  pen.font = "14px system-ui";
  for (const [value, name] of [[accept, "--ok"], [review, "--review"]]) {
    const x = Math.sqrt(value / most) * width;
    pen.strokeStyle = colour(name);
    pen.lineWidth = 2;
    pen.beginPath();
    pen.moveTo(x, 0);
    pen.lineTo(x, floor);
    pen.stroke();
  }
  pen.fillStyle = colour("--soft");
  for (const share of [0, 0.25, 0.5, 0.75]) pen.fillText(number.format(share ** 2 * most), share * width + 2, height - 6);
  const { escapes, rejects, looks, cost } = costOf(accept, review);
  const [ok, ng] = ["OK", "NG"].map((truth) => parts.filter((each) => each.truth === truth).length);
  at("cost").textContent =
    `${words.escapes}: ${escapes} / ${ng} · ${words.false_rejects}: ${rejects} / ${ok} · ` +
    `${words.to_look_at}: ${looks} / ${parts.length} · ${words.cost}: ${number.format(cost)}`;
}

at("cheapest")?.addEventListener("click", () => {
  const steps = [0, ...new Set(parts.map((each) => each.value))].sort((a, b) => a - b);
  const thin = steps.filter((_, index) => index % Math.ceil(steps.length / 120) === 0 || index === steps.length - 1);
  let best = null;
  for (const [index, accept] of thin.entries()) {
    for (const review of thin.slice(index)) {
      const { cost } = costOf(accept, review);
      if (!best || cost < best.cost) best = { accept, review, cost };
    }
  }
  if (!best) return;
  const beyond = (value) => limitFrom(value, steps.find((each) => each > value) ?? 1.05 * value);
  slide("accept", beyond(best.accept));
  slide("review", beyond(best.review));
  drawLimits();
});

const nameOf = (rule) => rule.name ?? [rule.class ?? words.every_class, rule.zone].filter(Boolean).join(" · ");

/** The limits as rules for every class, and these rules for what judges the product now. */
at("keep-limits")?.addEventListener("click", attempt(async () => {
  const [accept, review] = [limitOf("accept"), Math.max(limitOf("accept"), limitOf("review"))];
  const product = at("limit-product").value;
  const name = product || "every product";
  const history = await ask("GET", "/api/v1/activations?limit=1000");
  const now = [product, ""].map((each) => history.find((row) => row.product === each)).find((row) => row?.model_sha256);
  if (!now) throw new Error(history.some((row) => row.model_sha256) ? words.choose_product : words.no_model);
  const before = now.rules_sha256 && (await ask("GET", `/api/v1/rules/${now.rules_sha256}`));
  const gone = [...(before?.content.rule ?? []).map(nameOf), ...(before?.content.picture ? ["[picture]"] : [])];
  if (gone.join() !== nameOf({}) && gone.length && !confirm(`${words.replaces_rules} ${gone.join(", ")}`)) return;
  const text = `[[rule]]\nmax_${at("limit-field").value} = { accept = ${accept}, review = ${review} }\n`;
  const headers = { "Content-Type": "application/toml", ...(csrf && { "X-CSRF-Token": csrf }) };
  const answer = await fetch(`${root}/api/v1/rules?name=${encodeURIComponent(name)}`, { method: "POST", body: text, headers });
  const rules = await answer.json();
  if (!answer.ok) throw new Error(rules.detail);
  const why = `${at("limit-field").value}: ${accept}, ${review}; ${at("cost").textContent}`.slice(0, 200);
  await ask("POST", "/api/v1/activations", { product, model_sha256: now.model_sha256, rules_sha256: rules.sha256, why });
  await leave(`${root}/models?project=${encodeURIComponent(product)}`);
}));

for (const id of ["accept", "review"]) at(id).addEventListener("input", () => delete exact[id]);
for (const id of ["accept", "review", "cost-escape", "cost-reject", "cost-look"]) at(id).addEventListener("input", drawLimits);
for (const id of ["limit-product", "limit-field"]) at(id).addEventListener("change", () => load().catch((error) => say(error.message)));
addEventListener("resize", drawLimits);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawLimits);
await load().catch((error) => say(error.message));
document.body.dataset.ready = "true";
