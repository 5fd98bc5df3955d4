// The list of jobs. What `GET /jobs` says is the truth; events only tell when to look, and how far a run is.
import { call, hasKey, media } from "/static/client.js";
import { fill, refuse } from "/static/composer.js";

const PAGE = 24, MOST = 96;
const list = document.querySelector("#jobs"), more = document.querySelector("#more");
const rows = new Map();
let limit = PAGE, waiting = null;

const isFinal = (job) => !["queued", "in_progress"].includes(job.status);
const duration = (seconds) => seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;

/** Read the newest jobs, and show them and no others. */
export async function refresh() {
  const page = await call(`/jobs?limit=${limit}`);
  const kept = new Set(page.jobs.map((job) => job.id));
  for (const id of rows.keys()) if (!kept.has(id)) forget(id);
  for (const job of page.jobs) list.append(show(job));
  more.hidden = !page.next || limit >= MOST;
  showEmpty();
}

/** Look again soon, once for all that happens until then. */
export function refreshSoon() {
  waiting ??= setTimeout(() => { waiting = null; refresh().catch(() => {}); }, 200);
}

/** Show a job that was just made. */
export function add(job) {
  list.prepend(show(job));
  showEmpty();
}

/** What an event says: progress is shown as it is, anything else may have moved every job. */
export function hear(event) {
  const job = rows.get(event.job_id)?.job;
  if (event.type !== "progress" || !job) return refreshSoon();
  const { status, stage, step, steps, progress, eta_seconds, preview_url } = event;
  show({ ...job, status, stage, step, steps, progress, eta_seconds, preview_url: preview_url ?? job.preview_url });
}

function show(job) {
  const { row } = rows.get(job.id) ?? { row: newRow(job.id) };
  rows.set(job.id, { row, job });
  const part = (name) => row.querySelector(name), done = job.status === "completed";
  row.className = `card job ${job.status}`;
  part(".prompt").textContent = job.request.prompt;
  part(".prompt").title = job.request.prompt;
  part(".state").textContent = job.cancel_requested_at && !isFinal(job) ? "cancelling" : job.status.replace("_", " ");
  part(".news").textContent = [news(job), ...job.warnings].filter(Boolean).join(" · ");
  part(".facts").textContent = facts(job);
  part(".error").textContent = done ? "" : job.error?.message ?? "";
  showProgress(job, part("progress"));
  part(".cancel").hidden = isFinal(job);
  part(".cancel").disabled = Boolean(job.cancel_requested_at);
  part(".delete").hidden = part(".again").hidden = !isFinal(job);
  part("video").hidden = part(".download").hidden = !done;
  showPreview(job, part(".preview"));
  if (done && !part("video").dataset.of) showVideo(job, part("video"), part(".download"));
  return row;
}

// The bar measures denoising; while all else is done, it only moves.
function showProgress(job, bar) {
  bar.hidden = isFinal(job);
  bar.setAttribute("aria-label", `Progress of ${job.request.prompt}`);
  if (job.status === "in_progress" && job.stage !== "denoising") bar.removeAttribute("value");
  else bar.value = job.progress;
}

const place = (position) => ({ 1: "next in line", null: "waiting to be tried again" })[position] ?? `number ${position} in line`;

function news(job) {
  const left = job.eta_seconds !== null && job.eta_seconds !== undefined ? `about ${duration(job.eta_seconds)} left` : "";
  const told = {
    queued: place(job.queue_position),
    in_progress: job.stage === "denoising" ? `step ${job.step} of ${job.steps}` : job.stage ?? "starting",
  }[job.status];
  return told ? [told, left, job.attempt > 1 && `attempt ${job.attempt}`].filter(Boolean).join(" · ") : "";
}

function facts(job) {
  const { width, height, frame_num, sample_steps, base_seed } = job.request;
  const told = [job.task, width && `${width} × ${height}`, frame_num && `${frame_num} frames`, `${sample_steps} steps`, `seed ${base_seed}`];
  if (job.status === "completed") told.push(`took ${duration((new Date(job.finished_at) - new Date(job.started_at)) / 1000)}`);
  return told.filter(Boolean).join(" · ");
}

// Addresses come absolute, by the service's public name; the page may have been opened by another.
const local = (address) => { const { pathname, search } = new URL(address, location); return pathname + search; };

async function showPreview(job, image) {
  const address = isFinal(job) ? null : job.preview_url;
  if (!address) { image.hidden = true; return; }
  if (image.dataset.of === address) return;
  image.dataset.of = address;
  try { image.src = await media(local(address)); image.hidden = false; } catch { /* the next one will do */ }
}

async function showVideo(job, video, download) {
  video.dataset.of = job.id;
  Object.assign(download, { href: job.video_path, download: `${job.id}.mp4` });
  if (hasKey()) fetchWhenWanted(job, video, download);
  else video.src = job.video_path;
  const thumbnail = await media(`/v1/videos/${job.id}/content?variant=thumbnail`).catch(() => null);
  if (thumbnail) video.poster = thumbnail;
}

// With a key a video has to be fetched whole before it can be played: not before somebody wants it.
function fetchWhenWanted(job, video, download) {
  const fetched = async () => { video.src ||= download.href = await media(job.video_path); };
  video.addEventListener("click", () => fetched().then(() => video.play()).catch(refuse), { once: true });
  download.addEventListener("click", (event) => {
    event.preventDefault();
    fetched().then(() => download.click()).catch(refuse);
  }, { once: true });
}

function newRow(id) {
  const row = document.querySelector("#row").content.firstElementChild.cloneNode(true);
  const job = () => rows.get(id).job;
  const on = (name, work) => row.querySelector(name).addEventListener("click", () => work().catch(refuse));
  on(".cancel", async () => show(await call(`/jobs/${id}/cancel`, { method: "POST" })));
  on(".delete", async () => { await call(job().video_path, { method: "DELETE" }); forget(id); showEmpty(); });
  on(".again", async () => fill(job()));
  return row;
}

function forget(id) {
  rows.get(id).row.remove();
  rows.delete(id);
}

function showEmpty() {
  document.querySelector("#empty").hidden = rows.size > 0;
}

more.addEventListener("click", () => { limit += PAGE; refresh().catch(refuse); });
