// The description of the API, read from /openapi.json, with a form to try each operation.
import { send as request } from "/static/client.js";

const make = (tag, text = "", name = "") => Object.assign(document.createElement(tag), { textContent: text, className: name });
const put = (parent, ...children) => (parent.append(...children), parent);
const plain = (text) => (text ?? "").replaceAll("`", "").replaceAll("**", "");
let description;

const follow = (schema) => schema?.$ref ? description.components.schemas[schema.$ref.split("/").pop()] : schema ?? {};

function typeOf(schema) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(" or ");
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.format === "binary") return "file";
  if (schema.type === "array") return `list of ${schema.items ? typeOf(schema.items) : "values"}`;
  return [].concat(schema.type ?? "any").join(" or ");
}

function bounds(schema) {
  const options = (schema.anyOf ?? []).filter((option) => option.type !== "null");
  const { minimum, maximum, maxLength, default: usual } = options.length === 1 ? { ...schema, ...options[0] } : schema;
  const told = [];
  if (minimum !== undefined || maximum !== undefined) told.push(`${minimum ?? "…"} to ${maximum ?? "…"}`);
  if (maxLength !== undefined) told.push(`at most ${maxLength} characters`);
  if (usual !== undefined && usual !== null) told.push(`default ${JSON.stringify(usual)}`);
  return told.join(", ");
}

function fieldTable(rows) {
  const table = make("table");
  for (const { name, schema, required, about } of rows) {
    const row = put(make("tr"), make("td", name + (required ? " *" : "")), make("td", typeOf(schema)));
    const limits = bounds(schema);
    put(table, put(row, put(make("td", plain(about ?? schema.description)), make("span", limits && ` ${limits}`, "quiet"))));
  }
  return table;
}

const fieldsOf = (schema) => Object.entries(schema.properties ?? {}).map(([name, field]) =>
  ({ name, schema: field, required: (schema.required ?? []).includes(name) }));

function section(parent, title, ...content) {
  put(parent, make("h3", title), ...content);
}

function curl(method, path, example) {
  const lines = [`curl -X ${method.toUpperCase()} '${location.origin}${path}'`, `-H "Authorization: Bearer $WAN_KEY"`];
  if (example) lines.push(`-H "Content-Type: application/json"`, `-d '${JSON.stringify(example)}'`);
  return lines.join(" \\\n  ");
}

function tryForm(method, path, operation, example) {
  const form = make("form", "", "try"), inputs = [];
  for (const parameter of operation.parameters ?? []) {
    const input = make("input");
    input.required = parameter.in === "path";
    input.placeholder = parameter.example ?? "";
    inputs.push([parameter, input]);
    put(form, put(make("label", parameter.name), input));
  }
  const json = operation.requestBody?.content?.["application/json"], body = make("textarea", JSON.stringify(example ?? {}, null, 2));
  body.setAttribute("aria-label", "Body");
  if (json) put(form, body);
  const answer = make("pre");
  answer.hidden = true;
  put(form, make("button", "Send"), answer);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    answer.hidden = false;
    answer.textContent = "…";
    answer.textContent = await send(method, path, inputs, json ? body.value : undefined).catch((error) => error.message);
  });
  return form;
}

async function send(method, path, inputs, body) {
  const headers = {}, query = new URLSearchParams();
  for (const [{ name, in: place }, { value }] of inputs) {
    if (value === "") continue;
    if (place === "path") path = path.replace(`{${name}}`, encodeURIComponent(value));
    if (place === "query") query.set(name, value);
    if (place === "header") headers[name] = value;
  }
  if (body !== undefined) headers["content-type"] = "application/json";
  const answer = await request(query.size ? `${path}?${query}` : path, { method: method.toUpperCase(), headers, body });
  const told = ["content-type", "location", "retry-after", "ratelimit", "x-request-id"].filter((name) => answer.headers.has(name));
  const head = [`${answer.status} ${answer.statusText}`, ...told.map((name) => `${name}: ${answer.headers.get(name)}`)].join("\n");
  const kind = answer.headers.get("content-type") ?? "";
  if (!kind.includes("json")) return `${head}\n\n${kind ? "(not shown here)" : ""}`;
  return `${head}\n\n${JSON.stringify(await answer.json(), null, 2)}`;
}

function operationCard(method, path, operation) {
  const card = make("details", "", "operation"), inner = make("div");
  card.id = operation.operationId;
  put(card, put(make("summary"), make("span", method.toUpperCase(), `method ${method}`), make("span", path, "path"), make("span", plain(operation.summary), "quiet")), inner);
  const fill = () => {
    if (inner.childElementCount) return;
    const bodies = operation.requestBody?.content ?? {}, media = bodies["application/json"];
    put(inner, make("p", plain(operation.description)));
    if (operation.parameters?.length)
      section(inner, "Parameters", fieldTable(operation.parameters.map((one) => ({ name: one.name, schema: one.schema, required: one.required, about: [one.in === "query" ? "" : `(${one.in})`, one.description].filter(Boolean).join(" ") }))));
    const alike = Map.groupBy(Object.entries(bodies), ([, { schema }]) => fieldsOf(follow(schema)).map(({ name }) => name).join());
    for (const [names, kinds] of alike) {
      const schema = kinds[0][1].schema;
      section(inner, `Body, ${kinds.map(([kind]) => kind).join(" or ")}`, names ? fieldTable(fieldsOf(follow(schema))) : make("p", typeOf(schema)));
    }
    const answers = Object.entries(operation.responses).map(([status, one]) => {
      const content = Object.entries(one.content ?? {})[0];
      return { name: status === "default" ? "else" : status, schema: content ? content[1].schema ?? {} : { type: "empty" }, about: one.description };
    });
    section(inner, "Answers", fieldTable(answers));
    const good = Object.entries(operation.responses).find(([status]) => status.startsWith("2"))?.[1];
    const told = fieldsOf(follow(Object.values(good?.content ?? {})[0]?.schema));
    if (told.length) section(inner, "In the answer", fieldTable(told.map((row) => ({ ...row, required: false }))));
    const example = Object.values(good?.content ?? {})[0]?.example;
    if (example) section(inner, "For example", make("pre", JSON.stringify(example, null, 2)));
    section(inner, "With curl", make("pre", curl(method, path, media?.example)));
    section(inner, "Try it", tryForm(method, path, operation, media?.example));
  };
  card.addEventListener("toggle", fill, { once: true });
  return card;
}

function show() {
  document.querySelector("#version").textContent = description.info.version;
  document.querySelector("#about").textContent = plain(description.info.description).replace(/([^\n])\n(?=[^\n])/g, "$1 ");
  const root = document.querySelector("#operations");
  for (const tag of description.tags) {
    put(root, make("h2", tag.name), make("p", tag.description, "quiet"));
    for (const [path, methods] of Object.entries(description.paths))
      for (const [method, operation] of Object.entries(methods))
        if (operation.tags?.[0] === tag.name) put(root, operationCard(method, path, operation));
  }
  const wanted = document.getElementById(location.hash.slice(1));
  if (wanted) { wanted.open = true; wanted.scrollIntoView(); }
}

fetch("/openapi.json").then((answer) => answer.json()).then((read) => { description = read; show(); }).catch((error) => {
  document.querySelector("#about").textContent = `The description cannot be read: ${error.message}`;
});
