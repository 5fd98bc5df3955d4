// Requests to the gateway, with the key that the person typed. Every page speaks through here.
const keyField = document.querySelector("#key");
keyField.value = sessionStorage.getItem("key") ?? "";

export const hasKey = () => keyField.value.trim() !== "";

/** Call back when the person has typed another key. */
export function onKey(change) {
  keyField.addEventListener("change", () => { sessionStorage.setItem("key", keyField.value.trim()); change(); });
}

/** An answer, whatever its status. */
export async function send(path, options = {}) {
  const headers = { ...options.headers, ...(hasKey() && { authorization: `Bearer ${keyField.value.trim()}` }) };
  const answer = await fetch(path, { ...options, headers });
  if (answer.status === 401) document.querySelector("#key-label").hidden = false;
  return answer;
}

/** The JSON of a good answer. A problem is thrown as an Error that holds it as `body`. */
export async function call(path, options) {
  const answer = await send(path, options);
  if (answer.status === 204) return null;
  const body = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(told(body) ?? answer.statusText), { body });
  return body;
}

const told = (body) => body.detail ?? body.title;

/** An address that an <img> or a <video> can load. They send no key, so with one the file is fetched first. */
export async function media(path) {
  if (!hasKey()) return path;
  const answer = await send(path);
  if (!answer.ok) throw new Error(`${path} answers ${answer.status}`);
  return URL.createObjectURL(await answer.blob());
}

/** Server-sent events of a path until the connection ends; `null` says that it stands. */
export async function* eventsOf(path, lastEventId) {
  const answer = await send(path, { headers: lastEventId ? { "last-event-id": lastEventId } : {} });
  if (!answer.ok) throw new Error(`${path} answers ${answer.status}`);
  yield null;
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = "", chunk; !(chunk = await reader.read()).done; ) {
    const blocks = (rest + chunk.value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const data = block.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5)).join("\n");
      if (data) yield JSON.parse(data);
    }
  }
}
