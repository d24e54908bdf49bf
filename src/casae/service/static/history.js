/** Views of the history that this person keeps, in this browser. */
const KEPT = "casae-views";
const at = (id) => document.getElementById(id);

function read() {
  try {
    return JSON.parse(localStorage.getItem(KEPT)) ?? {};
  } catch {
    return {};
  }
}

/** The filters, from the newest on: a page in between would be another one tomorrow. */
function viewed() {
  const query = new URLSearchParams(location.search);
  query.delete("after");
  return `?${query}`;
}

function show() {
  const views = read();
  at("views").replaceChildren(...Object.entries(views).map(([name, query]) => {
    const view = document.createElement("span");
    view.className = "chip";
    const link = Object.assign(document.createElement("a"), { href: query, textContent: name });
    const drop = Object.assign(document.createElement("button"), { type: "button", className: "bare", textContent: "✕" });
    drop.setAttribute("aria-label", `${name} ✕`);
    drop.addEventListener("click", () => {
      delete views[name];
      localStorage.setItem(KEPT, JSON.stringify(views));
      show();
    });
    view.append(link, " ", drop);
    return view;
  }));
}

at("keep-view").addEventListener("click", () => at("name-view").showModal());
at("no-view").addEventListener("click", () => at("name-view").close());
at("name-view").querySelector("form").addEventListener("submit", () => {
  localStorage.setItem(KEPT, JSON.stringify({ ...read(), [at("view-name").value]: viewed() }));
  show();
});
show();
