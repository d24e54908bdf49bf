/** What every page has. */
import { ask, root } from "./ask.js";

document.getElementById("sign-out")?.addEventListener("click", async () => {
  await ask("DELETE", "/api/v1/session");
  location.assign(`${root}/login`);
});
