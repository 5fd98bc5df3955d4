// The form: which fields a way of making videos has, what a model offers, and the request they make.
import { call } from "/static/client.js";

const form = document.querySelector("#composer");
const field = (name) => [...form.querySelectorAll(`[name="${name}"]`)].find((one) => !one.disabled) ?? form.querySelector(`[name="${name}"]`);
const mode = () => form.querySelector("[name=mode]:checked").value;
let models = [];

const servesNow = (kind) => models.filter((model) => model.available && model.accepts.includes(kind));
const chosen = () => models.find((model) => model.id === field("task").value);

/** Offer what the service has now; what was chosen stays chosen. */
export async function loadModels() {
  const now = (await call("/models")).models;
  if (JSON.stringify(now.map(identity)) === JSON.stringify(models.map(identity))) return;
  const before = chosen();
  models = now;
  for (const radio of form.querySelectorAll("[name=mode]")) {
    radio.disabled = !servesNow(radio.value).length;
    radio.parentElement.title = radio.disabled ? "No model for this is installed" : "";
  }
  const after = chosen();
  // What somebody has typed stays, unless it was for a model that has gone or is another one now.
  if (before && after?.available && before.tiny === after.tiny) offerModels();
  else chooseMode();
  form.querySelector("button.primary").disabled = false;
}

const offerModels = () => options(field("task"), servesNow(mode()).map((model) => [model.id, model.id]));

const identity = ({ id, available, tiny }) => [id, available, tiny];

function chooseMode() {
  for (const part of form.querySelectorAll("[data-modes]")) {
    part.hidden = !part.dataset.modes.split(" ").includes(mode());
    for (const one of part.querySelectorAll("input, select, textarea")) one.disabled = part.hidden;
  }
  field("prompt").placeholder = {
    "image-to-video": "The image comes to life with gentle movement",
    "speech-to-video": "A person speaking naturally",
    "animation": "Optional",
  }[mode()] ?? "A beautiful sunset over a calm ocean";
  offerModels();
  chooseModel();
}

function chooseModel() {
  const model = chosen();
  if (!model) return;
  options(field("preset"), [["", "none"], ...Object.keys(model.presets).map((name) => [name, name])]);
  options(field("size"), [["", ""], ...model.sizes.map((size) => [size, readable(size)])]);
  const { minimum, maximum, step } = model.limits.frame_num;
  Object.assign(field("frame_num"), { min: minimum, max: maximum, step });
  document.querySelector("#tiny").hidden = !model.tiny;
  // At its official size a tiny model takes minutes, for a picture of noise.
  if (model.tiny) Object.assign(field("size"), { value: "256*128" });
  field("frame_num").value = model.tiny && !model.kind.includes("speech") ? 17 : "";
  field("sample_steps").value = model.tiny ? 20 : "";
  choosePreset();
}

function choosePreset() {
  const model = chosen(), preset = model.presets[field("preset").value];
  if (preset) for (const name of ["frame_num", "sample_steps", "size"]) if (name in preset) field(name).value = "";
  const usual = { ...model.defaults, ...preset };
  field("size").options[0].textContent = readable(usual.size ?? "by the input");
  field("frame_num").placeholder = usual.frame_num ?? "by the input";
  field("sample_steps").placeholder = usual.sample_steps;
  field("sample_guide_scale").placeholder = [].concat(usual.sample_guide_scale).join(", ");
  field("sample_shift").placeholder = usual.sample_shift;
}

const readable = (size) => size.replace("*", " × ");

function options(select, pairs) {
  const before = select.value;
  select.replaceChildren(...pairs.map(([value, text]) => new Option(text, value)));
  if (pairs.some(([value]) => value === before)) select.value = before;
}

/** The form as the fields of a request: what is left empty is left out. */
function request() {
  const data = new FormData(form);
  data.delete("mode");
  for (const [name, value] of [...data]) if (value === "" || (value instanceof File && !value.size)) data.delete(name);
  if (data.has("tts_text") && !data.has("audio")) data.set("enable_tts", "true");
  data.set("preview", "true");
  return data;
}

async function submit(event, show) {
  event.preventDefault();
  const button = form.querySelector("button.primary");
  button.disabled = true;
  try {
    show(await call(`/generate/${mode()}`, { method: "POST", body: request() }));
    refuse(null);
  } catch (error) {
    refuse(error);
  } finally {
    button.disabled = false;
  }
}

/** Say why something was refused, and mark the fields it was refused for. */
export function refuse(error) {
  const text = document.querySelector("#refusal");
  text.hidden = !error;
  text.textContent = error?.message ?? "";
  const named = (error?.body?.errors ?? []).map((one) => one.field.replace(/_path$/, ""));
  for (const element of form.elements) if (element.name) element.setAttribute("aria-invalid", named.includes(element.name));
  const marked = form.querySelector('details [aria-invalid="true"]');
  if (marked) marked.closest("details").open = true;
}

/** Fill the form with the settings of a job, for another like it. Its files are not kept, and its seed is drawn anew. */
export function fill(job) {
  const kind = models.find((model) => model.id === job.task)?.accepts.find((one) => form.querySelector(`[name=mode][value="${one}"]`));
  const asked = job.request, size = `${asked.width}*${asked.height}`;
  if (kind) form.querySelector(`[name=mode][value="${kind}"]`).checked = true;
  chooseMode();
  field("task").value = job.task;
  chooseModel();
  for (const name of ["prompt", "frame_num", "sample_steps", "sample_shift", "tts_text"]) field(name).value = asked[name] ?? "";
  field("size").value = chosen().sizes.includes(size) ? size : "";
  field("base_seed").value = "";
  field("prompt").focus();
}

function showDrop(drop) {
  const [file] = drop.querySelector("input").files, box = drop.querySelector("span");
  box.dataset.empty ??= box.textContent;
  const pictured = Boolean(file?.type.startsWith("image/"));
  drop.classList.toggle("full", Boolean(file));
  drop.classList.toggle("pictured", pictured);
  box.textContent = file?.name ?? box.dataset.empty;
  box.style.backgroundImage = pictured ? `url("${URL.createObjectURL(file)}")` : "";
}

function acceptDrops(drop) {
  const input = drop.querySelector("input");
  input.addEventListener("change", () => showDrop(drop));
  for (const type of ["dragover", "dragleave", "drop"])
    drop.addEventListener(type, (event) => { event.preventDefault(); drop.classList.toggle("over", type === "dragover"); });
  drop.addEventListener("drop", (event) => {
    if (!event.dataTransfer.files.length) return;
    input.files = event.dataTransfer.files;
    showDrop(drop);
  });
}

/** Make the form work; `show` is given each new job. */
export function compose(show) {
  form.addEventListener("submit", (event) => submit(event, show));
  form.addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit(); });
  for (const radio of form.querySelectorAll("[name=mode]")) radio.addEventListener("change", chooseMode);
  field("task").addEventListener("change", chooseModel);
  field("preset").addEventListener("change", choosePreset);
  form.querySelectorAll(".drop").forEach(acceptDrops);
}
