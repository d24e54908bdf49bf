/** What every page has. */
import { ask, root } from "./ask.js";

const tabs = document.querySelector(".bar nav"); // on a phone they do not all fit
const tab = tabs?.querySelector("[aria-current]");
if (tab) tabs.scrollLeft = tab.offsetLeft - (tabs.clientWidth - tab.offsetWidth) / 2;

document.getElementById("sign-out")?.addEventListener("click", async () => {
  await ask("DELETE", "/api/v1/session");
  location.assign(`${root}/login`);
});
