/** Following a job until it is over. */
import { ask } from "./ask.js";

const LOOK_MS = 1000;

/** The job when it is over; `onlook` is called with it until then. A service that is away for a while is waited for. */
export async function followed(id, onlook = () => {}) {
  for (;;) {
    const job = await ask("GET", `/api/v1/jobs/${id}`).catch((error) => {
      if (error.status >= 400 && error.status < 500) throw error;
    });
    if (job) onlook(job);
    if (job && !["queued", "running"].includes(job.state)) return job;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

/** Seconds as 1:05. */
export function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
