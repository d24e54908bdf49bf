/** One inspection: the picture and the table of its defects belong together; what a person says goes to the API. */
import { ask, layers, viewerOf } from "./ask.js";

const place = document.querySelector("[data-inspection]");
const id = place.dataset.inspection;
const rows = [...document.querySelectorAll("#defects tbody tr")];

let judging = false; // a second press says nothing more
for (const each of document.querySelectorAll("#judge button")) each.disabled = false; // before, nobody would hear it
document.getElementById("judge")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (judging) return;
  judging = true;
  const trouble = document.getElementById("trouble");
  try {
    const why = event.target.elements.why.value;
    const { reviews } = await ask("GET", `/api/v1/inspections/${id}`);
    const findings = reviews.at(-1)?.findings ?? []; // what was corrected before still holds
    await ask("POST", `/api/v1/inspections/${id}/reviews`, { decision: event.submitter.value, why, findings, reviews_seen: Number(place.dataset.reviews) });
    location.reload();
  } catch (error) {
    judging = false;
    trouble.textContent = place.dataset.notKept + error.message;
    trouble.hidden = false;
  }
});

const { record } = await ask("GET", `/api/v1/inspections/${id}`);
const viewer = viewerOf(document.getElementById("viewer"), record, mark, place.dataset.gone);
layers(viewer);

for (const row of rows) {
  const choose = () => {
    mark(Number(row.dataset.number));
    viewer.select(Number(row.dataset.number));
  };
  row.addEventListener("click", choose);
  row.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      choose();
    }
  });
}

function mark(number) {
  for (const row of rows) row.setAttribute("aria-selected", String(Number(row.dataset.number) === number));
}
