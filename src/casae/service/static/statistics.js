/** Charts of what was inspected. Each says what it shows, and gives its numbers as CSV. */
import { ask } from "./ask.js";

const at = (id) => document.getElementById(id);
const words = JSON.parse(at("words").textContent);
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const charts = {};
const tables = {}; // chart -> rows of its CSV, the first one names the columns
const form = at("filters");
const number = new Intl.NumberFormat(document.documentElement.lang, { maximumSignificantDigits: 4 });

const iso = (date) =>
  `${date.getFullYear()}-${String(date.getMonth() + 1).padStart(2, "0")}-${String(date.getDate()).padStart(2, "0")}`;

/** From the midnight of a day to that after another one, by the clock of the service, which says times without offset. */
function days(since, until) {
  const after = new Date(`${until}T00:00`);
  after.setDate(after.getDate() + 1);
  return { since: `${since}T00:00`, until: `${iso(after)}T00:00` };
}

function span() {
  const { product, since, until, step } = Object.fromEntries(new FormData(form));
  if (until < since) throw new Error(words.dates_reversed);
  const query = days(since, until);
  return { query: product ? { ...query, product } : query, step };
}

const asked = (path, query) => ask("GET", `/api/v1/statistics/${path}?${new URLSearchParams(query)}`);

async function show() {
  at("trouble").hidden = true;
  at("charts").setAttribute("aria-busy", "true");
  try {
    const { query, step } = span();
    const [series, classes, truth, places] = await Promise.all([
      asked("series", { ...query, step }), asked("classes", query), asked("truth", query), asked("places", query),
    ]);
    const parts = series.points.reduce((sum, each) => sum + each.parts, 0);
    at("empty").hidden = parts > 0;
    at("charts").hidden = !parts;
    showTruth(truth);
    if (!parts) return;
    control("rejected", series, series.rejected, "ng");
    control("defects_a_part", series, series.defects, "defects");
    pareto(classes);
    drift(series);
    heat(places);
    await showSizes();
  } catch (error) {
    at("trouble").textContent = error.message;
    at("trouble").hidden = false;
  } finally {
    at("charts").setAttribute("aria-busy", "false");
  }
}

function draw(name, option) {
  charts[name] ??= echarts.init(at(name), null, { renderer: "canvas" });
  const text = { color: colour("--ink"), fontFamily: "system-ui, sans-serif" };
  const tooltip = {
    trigger: "axis", renderMode: "richText", backgroundColor: colour("--sheet"), borderColor: colour("--line"), textStyle: text,
    ...option.tooltip,
  };
  const grid = { left: 56, right: 24, top: 32, bottom: 40 };
  const animation = !matchMedia("(prefers-reduced-motion: reduce)").matches;
  charts[name].setOption({ textStyle: text, grid, animation, ...option, tooltip }, true);
}

const axis = (more) => ({
  axisLabel: { color: colour("--soft"), hideOverlap: true }, splitLine: { lineStyle: { color: colour("--line") } },
  axisLine: { lineStyle: { color: colour("--soft") } }, nameTextStyle: { color: colour("--soft") }, ...more,
});

/** A time as the clock of the service shows it, some milliseconds later. */
const moment = (text, later = 0) =>
  new Date(new Date(text.slice(0, 19)).getTime() + later).toLocaleString(document.documentElement.lang, { dateStyle: "short", ...(span().step === "hour" || span().step === "shift" ? { timeStyle: "short" } : {}) });

const pointOf = (series, change) =>
  Math.max(0, series.points.findLastIndex((point) => new Date(point.start) <= new Date(change.at)));

/** Lines where model or rules changed, at the point in which that fell. */
function changes(series) {
  const data = series.changes.map((change) => ({ xAxis: pointOf(series, change), change }));
  const label = { show: data.length <= 12, formatter: () => words.change, color: colour("--soft"), fontSize: 11 };
  return { silent: true, symbol: "none", lineStyle: { color: colour("--accent"), type: "dashed" }, label, data };
}

function control(name, series, chart, what) {
  if (!chart) {
    at(`about-${name}`).textContent = words.nothing_in_span;
    return charts[name]?.clear();
  }
  const starts = series.points.map((each) => moment(each.start));
  const broken = chart.values.map((value, index) => (chart.broken[index].length ? value : null));
  const step = { type: "line", step: "middle", symbol: "none", lineStyle: { type: "dotted", color: colour("--soft") } };
  draw(name, {
    xAxis: axis({ type: "category", data: starts }),
    yAxis: axis({ type: "value", min: 0 }),
    legend: { type: "scroll", textStyle: { color: colour("--ink") }, top: 0 },
    series: [
      { name: words.value, type: "line", data: chart.values, itemStyle: { color: colour("--accent") }, symbolSize: 6, markLine: changes(series) },
      { ...step, name: words.limits, data: chart.high }, { ...step, name: words.limits, data: chart.low },
      { type: "line", name: words.centre, symbol: "none", data: chart.values.map(() => chart.centre), lineStyle: { color: colour("--ok") }, itemStyle: { color: colour("--ok") } },
      { type: "scatter", name: words.signal, data: broken, symbolSize: 12, itemStyle: { color: colour("--ng") } },
    ],
  });
  const changed = series.points.map((_, index) => series.changes.filter((change) => pointOf(series, change) === index));
  const rules = [...new Set(chart.broken.flat())].sort().map((rule) => `${rule}: ${words[`nelson_${rule}`]}`);
  const usual = series.baseline
    ? `${words.baseline} ${moment(series.baseline.since)} – ${moment(series.baseline.until, -1)}, ${series.baseline.who}`
    : words.provisional;
  const dropped = series.points.some((each) => each.pruned) ? words.pruned : "";
  at(`about-${name}`).textContent = [`${words.centre} ${number.format(chart.centre)}`, usual, dropped, rules.length ? `${words.signal}: ${rules.join("; ")}` : words.no_signal].filter(Boolean).join(" · ");
  const head = ["start", "inspections", what, "value", "low", "high", "centre", "baseline", "nelson_rules", "changes"];
  const frozen = series.baseline ? `${series.baseline.since} - ${series.baseline.until}` : "provisional";
  const rows = series.points.map((each, index) => [
    each.start, each.pruned ? "" : each.parts, each.pruned ? "" : each[what], chart.values[index], chart.low[index], chart.high[index],
    chart.centre, frozen, chart.broken[index].join(" "), changed[index].map((change) => `${change.at} ${change.who}: ${change.why}`).join("; "),
  ]);
  tables[name] = [head, ...rows];
}

let latest = [];
function pareto(classes = latest) {
  latest = classes;
  const by = at("by").value;
  const rows = [...classes].sort((a, b) => b[by] - a[by]);
  const total = rows.reduce((sum, each) => sum + each[by], 0) || 1;
  let sum = 0;
  const shares = rows.map((each) => Math.round((1000 * (sum += each[by])) / total) / 10);
  draw("pareto", {
    xAxis: axis({ type: "category", data: rows.map((each) => each.class), axisLabel: { color: colour("--soft"), interval: 0, rotate: rows.length > 5 ? 30 : 0, overflow: "truncate", width: 90 } }),
    yAxis: [axis({ type: "value", minInterval: 1 }), axis({ type: "value", max: 100, splitLine: { show: false }, axisLabel: { color: colour("--soft"), formatter: "{value} %" } })],
    grid: { left: 56, right: 56, top: 32, bottom: 56 },
    series: [
      { name: words[by === "rejected" ? "by_parts" : "by_count"], type: "bar", data: rows.map((each) => each[by]), itemStyle: { color: colour("--accent") } },
      { name: words.together, type: "line", yAxisIndex: 1, data: shares, itemStyle: { color: colour("--review") } },
    ],
  });
  at("about-pareto").textContent = rows.length ? "" : words.no_defects;
  tables.pareto = [["class", "defects", "parts", "rejected_parts"], ...rows.map((each) => [each.class, each.defects, each.parts, each.rejected])];
}

async function showSizes() {
  const { query } = span();
  const [field, limit] = [at("field").value, at("limit").value];
  const found = await asked("sizes", { ...query, field, ...(limit && { limit }) });
  const names = found.counts.map((_, bin) => `${number.format(found.edges[bin])} – ${number.format(found.edges[bin + 1])}`);
  const beside = found.edges.findLastIndex((edge) => edge <= Number(limit));
  const label = { formatter: words.limit, color: colour("--ng") };
  const mark = { silent: true, symbol: "none", data: [{ xAxis: Math.min(beside, names.length - 1) }], lineStyle: { color: colour("--ng") }, label };
  const line = limit && beside >= 0 ? mark : undefined;
  draw("sizes", {
    xAxis: axis({ type: "category", data: names, name: field, nameLocation: "middle", nameGap: 24, axisLabel: { color: colour("--soft"), formatter: (name) => name.split(" ")[0] } }),
    yAxis: axis({ type: "value", minInterval: 1 }),
    series: [{ type: "bar", barCategoryGap: "10%", data: found.counts, itemStyle: { color: colour("--accent") }, markLine: line }],
  });
  const told = found.capability;
  const index = told && told.index !== null ? `Ppk ${number.format(told.index)}${told.low === null ? "" : ` (95 %: ${number.format(told.low)} – ${number.format(told.high)})`}` : "";
  const shape = told ? words[`shape_${told.index === null ? "unknown" : told.shape}`] : "";
  const beyond = told ? `${percent(told.beyond)} ${words.beyond}` : "";
  at("about-sizes").textContent = [`${found.is_cut ? `${words.newest} ` : ""}${found.count} ${words.defects}`, index, shape, beyond].filter(Boolean).join(" · ");
  tables.sizes = [["from", "to", "defects"], ...found.counts.map((count, bin) => [found.edges[bin], found.edges[bin + 1], count])];
}

function drift(series) {
  const starts = series.points.map((each) => moment(each.start));
  const known = ["novelty", "brightness", "sharpness"].filter((name) => series.points.some((each) => each[name] !== null));
  const first = Object.fromEntries(known.map((name) => [name, series.points.find((each) => each[name])?.[name] ?? 1]));
  const colours = [colour("--accent"), colour("--review"), colour("--ok")];
  draw("drift", {
    xAxis: axis({ type: "category", data: starts }),
    yAxis: axis({ type: "value", scale: true, axisLabel: { color: colour("--soft"), formatter: "{value} %" } }),
    legend: { type: "scroll", textStyle: { color: colour("--ink") }, top: 0 },
    series: known.map((name, index) => ({
      name: words[`drift_${name}`], type: "line", connectNulls: true, symbolSize: 4, itemStyle: { color: colours[index] },
      data: series.points.map((each) => (each[name] === null ? null : Math.round((1000 * each[name]) / first[name]) / 10)),
      ...(index ? {} : { markLine: changes(series) }),
    })),
  });
  at("about-drift").textContent = words.drift_help;
  tables.drift = [["start", "novelty", "brightness", "sharpness"], ...series.points.map((each) => [each.start, each.novelty, each.brightness, each.sharpness])];
}

function heat(places) {
  const size = places.rows.length;
  const most = Math.max(1, ...places.rows.flat());
  const data = places.rows.flatMap((row, y) => row.map((count, x) => [x, size - 1 - y, count])).filter(([, , count]) => count);
  const cell = [(at("places").clientWidth - 80) / size + 1, (at("places").clientHeight - 72) / size + 1];
  const bare = { type: "value", min: -0.5, max: size - 0.5, splitLine: { show: false }, axisTick: { show: false } };
  const frame = { ...bare, axisLabel: { show: false }, axisLine: { onZero: false, lineStyle: { color: colour("--soft") } } };
  draw("places", {
    tooltip: { trigger: "item", formatter: ({ value }) => `${value[2]} ${words.defects}` },
    xAxis: [axis(frame), axis({ ...frame, position: "top" })],
    yAxis: [axis(frame), axis({ ...frame, position: "right" })],
    series: [{
      type: "scatter", symbol: "rect", symbolSize: cell, itemStyle: { color: colour("--ng") },
      data: data.map((value) => ({ value, itemStyle: { opacity: 0.2 + (0.8 * value[2]) / most } })),
    }],
  });
  at("about-places").textContent = `${places.count} ${words.defects} · ${words.places_help}`;
  tables.places = [["row", "column", "defects"], ...places.rows.flatMap((row, y) => row.map((count, x) => [y, x, count]))];
}

function showTruth(truth) {
  const card = (name, share) => {
    const made = document.createElement("div");
    made.className = "panel";
    const value = share.value === null ? "–" : percent(share.value);
    const range = share.low === null ? "" : `(95 %: ${percent(share.low)} – ${percent(share.high)})`;
    for (const [tag, text] of [["span", words[`truth_${name}`]], ["b", value], ["span", `${share.hits} / ${share.total} ${range}`]]) {
      made.append(Object.assign(document.createElement(tag), { textContent: text }));
    }
    return made;
  };
  at("truth").replaceChildren(...["escapes", "overkill", "reviewed"].map((name) => card(name, truth[name])));
  const rows = Object.entries(truth).map(([name, share]) => [name, share.hits, share.total, share.value, share.low, share.high]);
  tables.truth = [["share", "hits", "looked_at", "value", "low", "high"], ...rows];
}

/** Text that a spreadsheet would run as a formula gets a quote before it. */
function cell(value) {
  const text = value === null || value === undefined ? "" : String(value);
  const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

for (const button of document.querySelectorAll("[data-csv]")) {
  button.setAttribute("aria-label", `CSV: ${words[`chart_${button.dataset.csv}`]}`);
  button.addEventListener("click", () => {
    const text = (tables[button.dataset.csv] ?? []).map((row) => row.map(cell).join(",")).join("\r\n");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(["\ufeff", text, "\r\n"], { type: "text/csv" }));
    link.download = `casae-${button.dataset.csv}.csv`;
    link.click();
    URL.revokeObjectURL(link.href);
  });
}

/** Two digits that count at least: one escape of three thousand is not none. */
const percent = (share) => `${new Intl.NumberFormat(document.documentElement.lang, { maximumSignificantDigits: share < 0.1 ? 2 : 3 }).format(100 * share)} %`;

const fault = (error) => {
  at("trouble").textContent = error.message;
  at("trouble").hidden = false;
};
at("by").addEventListener("change", () => pareto());
at("field").addEventListener("change", () => showSizes().catch(fault));
at("limit").addEventListener("change", () => showSizes().catch(fault));
form.addEventListener("submit", (event) => {
  event.preventDefault();
  show();
});
at("baseline")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { since, until, why } = Object.fromEntries(new FormData(event.target));
  try {
    await ask("POST", "/api/v1/statistics/baselines", { product: form.elements.product.value, ...days(since, until), why });
    await show();
  } catch (error) {
    fault(error);
  }
});
addEventListener("resize", () => Object.values(charts).forEach((each) => each.resize()));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);

const day = (back) => {
  const then = new Date();
  then.setDate(then.getDate() - back);
  return iso(then);
};
form.elements.since.value = day(29);
form.elements.until.value = day(0);
await show();
document.body.dataset.ready = "true";
