/** Making and importing projects. */
import { ask, csrf, root } from "./ask.js";
import { followed } from "./jobs.js";

const trouble = document.getElementById("trouble");
const say = (what) => {
  trouble.textContent = what;
  trouble.hidden = !what;
};

document.getElementById("new-project")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { name, classes } = Object.fromEntries(new FormData(event.target));
  try {
    const names = classes.split(",").map((each) => each.trim()).filter(Boolean);
    await ask("POST", "/api/v1/projects", { name, classes: names });
    location.assign(`${root}/projects/${name}`);
  } catch (error) {
    say(error.message);
  }
});

/** A ZIP in another format becomes a dataset of its own; from it a job makes the project. */
document.getElementById("import")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = new FormData(event.target);
  const [name, format] = [form.get("name"), form.get("format")];
  const ours = format === "folder";
  const content = new FormData();
  content.set("content", form.get("file"));
  say("…");
  try {
    const uploaded = ours ? name : `${name}-${format}`;
    const headers = csrf ? { "X-CSRF-Token": csrf } : {};
    const answer = await fetch(`${root}/api/v1/datasets?name=${uploaded}`, { method: "POST", body: content, headers });
    if (!answer.ok) throw new Error((await answer.json()).detail);
    if (!ours) {
      const wanted = { kind: "convert", dataset: `${format}:${uploaded}`, target: `folder:${name}` };
      const job = await followed((await ask("POST", "/api/v1/jobs", wanted)).id, (now) => say(`${now.stage || "…"} ${Math.round(100 * now.progress)} %`));
      if (job.state !== "done") throw new Error(job.error ?? job.state);
    }
    location.assign(`${root}/projects/${name}`);
  } catch (error) {
    say(error.message);
  }
});
