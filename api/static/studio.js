// The page where videos are made: brings the form, the list and the news together.
import { call, eventsOf, onKey } from "/static/client.js";
import { compose, loadModels } from "/static/composer.js";
import { add, hear, refresh, refreshSoon } from "/static/jobs.js";

const HEALTH_SECONDS = 5, RETRY_SECONDS = 2;
const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

async function showHealth() {
  const line = document.querySelector("#health");
  const say = (text, good = false) => { line.textContent = text; line.className = good ? "ok" : "bad"; };
  try {
    const health = await call("/health");
    const workers = Math.max(0, ...Object.values(health.workers ?? {}));
    if (health.status !== "ok") say("storage is away");
    else say(workers ? `ready, ${workers} worker${workers > 1 ? "s" : ""}` : "no worker is running", workers > 0);
  } catch ({ body }) {
    const keyless = ["key_required", "invalid_api_key"].includes(body?.error_type);
    say(keyless ? "needs an API key" : body?.status === "unavailable" ? "storage is away" : "the service does not answer");
  }
}

const look = () => Promise.allSettled([showHealth(), loadModels()]);

// Read the list only once the stream stands: what happens between the two is then told, not missed.
async function follow() {
  for (let place = null; ; await pause(RETRY_SECONDS)) {
    try {
      for await (const event of eventsOf("/events", place)) {
        if (event === null) { await refresh(); continue; }
        place = event.id ?? place;
        hear(event);
      }
    } catch { /* the health line says so */ }
  }
}

compose(add);
onKey(() => { look(); refreshSoon(); });
follow();
for (;; await pause(HEALTH_SECONDS)) await look();
