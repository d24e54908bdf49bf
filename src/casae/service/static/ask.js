/** Asking the API from a page, and the viewer as pages use it. */
import { Viewer } from "./viewer.js";

const AGAIN_MS = 3000; // until a picture that did not come is asked for again
export const root = document.querySelector('meta[name="root"]').content;
export const csrf = document.querySelector('meta[name="csrf"]').content;

/** What a path answers; an Error with what it says where that is an error. */
export async function ask(method, path, content) {
  const headers = content ? { "Content-Type": "application/json" } : {};
  if (csrf) headers["X-CSRF-Token"] = csrf;
  const answer = await fetch(root + path, { method, headers, body: content && JSON.stringify(content) });
  const said = await answer.json().catch(() => ({}));
  if (answer.status === 401) location.assign(`${root}/login?next=${encodeURIComponent(location.pathname + location.search)}`);
  if (!answer.ok) throw Object.assign(new Error(said.detail ?? answer.statusText), { status: answer.status });
  return said;
}

/** A viewer of a record; where its picture is gone, that is said in its place. */
export function viewerOf(element, record, onselect, gone) {
  const at = `${root}/api/v1/inspections/${record.id}`;
  const viewer = new Viewer(element, {
    picture: `${at}/view`, mask: record.defects.length ? `${at}/mask` : null, probability: `${at}/probability`, defects: record.defects,
    width: record.width_px, height: record.height_px, onselect,
  });
  const note = document.createElement("p");
  note.className = "note";
  const say = (what) => {
    note.textContent = what;
    element.append(note);
  };
  /** Shown, or gone for good; what fails for a while is tried again. */
  viewer.shown = (async () => {
    for (;;) {
      const failed = await viewer.ready.then(() => false, () => true);
      if (!failed) return note.remove();
      const answer = await fetch(`${at}/view`).catch(() => null);
      if ([404, 410].includes(answer?.status)) return say(gone);
      if (!answer?.ok) say((await answer?.json().catch(() => null))?.detail ?? "…");
      await new Promise((later) => setTimeout(later, AGAIN_MS));
      if (!element.isConnected) return null;
      viewer.reload();
    }
  })();
  element.addEventListener("gone", async () => {
    const answer = await fetch(`${at}/probability`).catch(() => null);
    say((await answer?.json().catch(() => null))?.detail ?? gone);
  });
  return viewer;
}

/** Let the checkboxes and sliders of the page show and hide layers of a viewer, which `get` gives. */
export function layers(get) {
  const viewer = typeof get === "function" ? get : () => get;
  const update = (name) => {
    const shown = document.querySelector(`[data-layer="${name}"]`).checked;
    const opacity = Number(document.querySelector(`[data-opacity="${name}"]`).value);
    viewer()?.layer(name, shown ? opacity : 0);
  };
  for (const each of document.querySelectorAll("[data-layer], [data-opacity]")) {
    each.addEventListener("input", () => update(each.dataset.layer ?? each.dataset.opacity));
  }
  document.getElementById("fit").addEventListener("click", () => viewer()?.fit());
  return () => ["picture", "probability", "mask", "outlines", "rectangles"].forEach(update);
}
