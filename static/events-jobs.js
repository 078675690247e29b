/*
 * The jobs of services: runs, errors and how long they took, from the hours that the server keeps.
 */
import { get } from "./lib/api.js";
import { h, timeElement } from "./lib/elements.js";
import { count, millis, percent, MISSING } from "./lib/format.js";

const ERRORS_MAX = 3;

/** Shows the jobs of a span; hides the card while there are none. */
export async function showJobs(card, place, span) {
  let jobs;
  try {
    jobs = await get("api/v1/events/jobs", { start_time: span.from.toISOString(), end_time: span.live ? null : span.to.toISOString() });
  } catch {
    // The stream says whether the server answers.
    return;
  }
  card.hidden = jobs.length === 0;
  const cell = (value) => h("td", {}, value);
  const duration = (value) => (value === null ? MISSING : millis(value));
  place.replaceChildren(h("table", { class: "jobs" },
    h("thead", {}, h("tr", {}, ["Service", "Job", "Finished", "Failed", "Failed, %", "Half", "99 %", "Last run", "Errors"].map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, jobs.map((job) => h("tr", {},
      cell(job.service_id), cell(job.job_id), cell(count(job.finished)), cell(h("span", { class: job.failed > 0 ? "chip bad" : "" }, count(job.failed))),
      cell(job.finished + job.failed === 0 ? MISSING : percent(job.failed / (job.finished + job.failed))),
      cell(duration(job.p50_ms)), cell(duration(job.p99_ms)), cell(timeElement(job.last_at)),
      cell(Object.entries(job.errors).toSorted(([, one], [, other]) => other - one).slice(0, ERRORS_MAX).map(([kind, number]) => `${kind} (${count(number)}×)`).join(", ")))))));
}
