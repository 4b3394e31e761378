"use strict";
// Everything from the description is put in as text, never as markup.

let token = "";

function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

// Words, `code` and **strong** of a line.
function inline(text) {
  return text.split(/(`[^`]+`|\*\*[^*]+\*\*|\*[^*]+\*)/).map((part) => {
    if (part.startsWith("`")) return make("code", {}, part.slice(1, -1));
    if (part.startsWith("**")) return make("strong", {}, part.slice(2, -2));
    if (part.startsWith("*") && part.length > 2) return make("em", {}, part.slice(1, -1));
    return part;
  });
}

function paragraphs(text) {
  return text.trim().split(/\n\s*\n/).map((part) => make("p", {}, ...inline(part.replace(/\n/g, " "))));
}

function resolve(api, schema) {
  while (schema && schema.$ref) schema = schema.$ref.slice(2).split("/").reduce((place, name) => place[name], api);
  return schema || {};
}

function typeOf(api, schema) {
  const found = resolve(api, schema);
  if (found.anyOf) return found.anyOf.map((one) => typeOf(api, one)).join(" or ");
  if (found.enum) return found.enum.join(", ");
  if (found.const) return String(found.const);
  if (found.type === "array") return `list of ${typeOf(api, found.items)}`;
  return found.format || found.type || "";
}

// The rows of an answer: the fields of `data`, one level further where a field is a model itself.
function fieldRows(api, schema, prefix = "") {
  const rows = [];
  for (const [name, field] of Object.entries(resolve(api, schema).properties || {})) {
    const inner = resolve(api, (field.anyOf || []).find((one) => one.$ref) || (field.$ref ? field : {}));
    rows.push([prefix + name, inner.properties ? "object" : typeOf(api, field), field.description || inner.description || ""]);
    if (inner.properties && !prefix) rows.push(...fieldRows(api, inner, `${name}.`));
  }
  return rows;
}

function table(headings, rows) {
  const head = make("tr", {}, ...headings.map((text) => make("th", { scope: "col" }, text)));
  const body = rows.map(([first, ...others]) =>
    make("tr", {}, make("td", {}, make("code", {}, first)), ...others.map((text) => make("td", {}, ...inline(text)))));
  return make("div", { class: "scroll" }, make("table", {}, make("thead", {}, head), make("tbody", {}, ...body)));
}

function control(api, parameter, id) {
  const schema = resolve(api, parameter.schema);
  const plain = schema.anyOf ? resolve(api, schema.anyOf[0]) : schema;
  const choices = plain.enum || (plain.pattern ? choicesOf(plain.pattern) : plain.type === "boolean" ? ["false", "true"] : null);
  const preset = schema.default === undefined || schema.default === null ? "" : String(schema.default);
  if (choices) {
    const options = choices.map((choice) => make("option", { value: choice, selected: choice === preset ? "" : null }, choice));
    return make("select", { id, name: parameter.name }, ...options);
  }
  const type = plain.format === "date" ? "date" : plain.type === "integer" ? "number" : "text";
  return make("input", {
    id, name: parameter.name, type, value: preset, min: plain.minimum, max: type === "number" && plain.maximum < 1e6 ? plain.maximum : null,
    required: parameter.required ? "" : null,
  });
}

function choicesOf(pattern) {
  const found = /^\^-\?\((.+)\)\$$/.exec(pattern);
  return found ? found[1].split("|").flatMap((name) => [name, `-${name}`]) : null;
}

function addressOf(path, operation, form) {
  const query = new URLSearchParams();
  let address = path;
  for (const parameter of operation.parameters || []) {
    const value = form.elements[parameter.name].value;
    if (parameter.in === "path") address = address.replace(`{${parameter.name}}`, encodeURIComponent(value));
    else if (value !== "" && value !== String(parameter.schema.default ?? "")) query.set(parameter.name, value);
  }
  const text = query.toString();
  return text ? `${address}?${text}` : address;
}

function pretty(text) {
  try { return JSON.stringify(JSON.parse(text), null, 2); } catch { return text; }
}

// What is no JSON is a file: it is offered under its name, never shown within this page.
let offered = "";
function fileOf(reply, content) {
  URL.revokeObjectURL(offered);
  offered = URL.createObjectURL(content);
  const name = /filename="([^"]+)"/.exec(reply.headers.get("content-disposition") || "")?.[1] || "answer";
  return make("p", {}, make("a", { class: "save", href: offered, download: name }, `Save ${name}`),
    make("span", { class: "quiet" }, `  ${content.size.toLocaleString("en")} bytes, ${content.type.split(";")[0]}`));
}

async function ask(address, needsToken, shown) {
  const began = performance.now();
  shown.replaceChildren(make("p", { class: "quiet" }, "Asking…"));
  const headers = needsToken && token ? { Authorization: `Bearer ${token}` } : {};
  try {
    const reply = await fetch(address, { headers, cache: "no-store" });
    const content = await reply.blob();
    const took = Math.round(performance.now() - began);
    shown.replaceChildren(
      make("p", {}, make("span", { class: `status ${reply.ok ? "good" : "bad"}` }, `${reply.status}`), ` in ${took} ms`,
        reply.headers.get("etag") ? make("span", { class: "quiet" }, `  ETag ${reply.headers.get("etag").slice(0, 13)}…"`) : ""),
      (reply.headers.get("content-type") || "").includes("json")
        ? make("pre", { tabindex: "0" }, pretty(await content.text())) : fileOf(reply, content));
  } catch {
    shown.replaceChildren(make("p", { class: "status bad" }, "The API does not answer."));
  }
}

function curlOf(address, needsToken, isFile) {
  const header = needsToken ? ' -H "Authorization: Bearer $TOKEN"' : "";
  return `curl -s${isFile ? "OJ" : ""}${header} '${location.origin}${address}'`;
}

function card(api, path, operation) {
  const id = operation.operationId;
  const needsToken = Boolean(operation.security);
  const contents = operation.responses["200"]?.content || {};
  const isFile = !contents["application/json"];
  const shown = make("div", { role: "status", "aria-live": "polite" });
  const curl = make("pre", { tabindex: "0" });
  const fields = (operation.parameters || []).flatMap((parameter) => {
    const field = `${id}-${parameter.name}`;
    return [
      make("label", { for: field }, parameter.name + (parameter.required ? " *" : "")),
      control(api, parameter, field),
      make("span", { class: "hint" }, ...inline(parameter.description || "")),
    ];
  });
  const form = make("form", {}, make("div", { class: "fields" }, ...fields),
    make("div", { class: "actions" }, make("button", { type: "submit" }, "Ask")));
  const told = () => { curl.textContent = curlOf(addressOf(path, operation, form), needsToken, isFile); };
  form.addEventListener("submit", (event) => { event.preventDefault(); ask(addressOf(path, operation, form), needsToken, shown); });
  form.addEventListener("input", told);
  const schema = resolve(api, contents["application/json"]?.schema);
  const data = schema.properties?.data;
  const rows = data ? fieldRows(api, data.items || data) : fieldRows(api, schema);
  const problems = Object.entries(operation.responses).filter(([status]) => status !== "200");
  const inside = make("div", { class: "inside" },
    ...paragraphs(operation.description || ""),
    form, shown,
    make("h3", {}, "With curl"), curl,
    make("h3", {}, data?.items ? "Each row" : "The answer"),
    rows.length ? table(["field", "type", "meaning"], rows)
      : make("p", {}, "A file: ", ...Object.keys(contents).flatMap((type, at) => [at ? ", " : "", make("code", {}, type)]), "."),
    make("h3", {}, "Other answers"), table(["status", "meaning"], problems.map(([status, one]) => [status, one.description])));
  told();
  const details = make("details", {},
    make("summary", {}, make("span", { class: "name" }, operation.summary), make("span", { class: "path" }, `GET ${path}`)), inside);
  return make("article", { id }, details);
}

function open(hash) {
  const details = hash && document.getElementById(hash)?.querySelector("details");
  if (!details) return;
  details.open = true;
  details.scrollIntoView();
}

function sayWhose() {
  const says = document.getElementById("token-says");
  if (!token) { says.textContent = "Not signed in. The token stays in this page and is gone with it."; return; }
  try {
    const claims = JSON.parse(atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/")));
    const until = new Date(claims.exp * 1000).toLocaleTimeString();
    says.textContent = `A token of ${claims.sub || "somebody"}, until ${until}.`;
  } catch { says.textContent = "That is no token. Expected three parts with dots between them."; }
}

async function begin() {
  const api = await (await fetch("/v1/openapi.json")).json();
  document.getElementById("title").textContent = api.info.title;
  document.getElementById("version").textContent = `version ${api.info.version}`;
  document.getElementById("about").append(...paragraphs(api.info.description));
  const contents = document.getElementById("contents");
  const operations = document.getElementById("operations");
  for (const tag of api.tags) {
    const found = Object.entries(api.paths).filter(([, item]) => item.get?.tags?.includes(tag.name));
    const links = found.map(([, item]) => make("li", {}, make("a", { href: `#${item.get.operationId}` }, item.get.summary)));
    contents.append(make("h2", {}, tag.name), make("ul", {}, ...links));
    operations.append(make("h2", {}, tag.name), make("p", { class: "quiet" }, ...inline(tag.description)),
      ...found.map(([path, item]) => card(api, path, item.get)));
  }
  open(location.hash.slice(1));
  document.documentElement.dataset.ready = "yes";
}

document.getElementById("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  token = document.getElementById("token").value.trim();
  sayWhose();
});
addEventListener("hashchange", () => open(location.hash.slice(1)));
begin();
