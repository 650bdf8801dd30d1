// Describes elements and brings the document in line with the description, changing no more than differs: what has the
// focus keeps it, and nothing flickers. Texts become text nodes; there is no way from a text to markup.

const SVG = "http://www.w3.org/2000/svg";

/** Describe an element: h("p", {class: "muted", key: 1, onclick: f}, "text", h("b", {}, "more")). With `focus: true` it
    gets the focus when it appears. */
export function h(tag, props, ...children) {
  return { tag, props: props ?? {}, key: props?.key, children: flat(children) };
}

/** Make the children of an element what the descriptions say. */
export function render(parent, ...children) {
  patch(parent, flat(children), false);
  focusNext?.focus();
  focusNext = null;
}

let focusNext = null; // whoever asked for the focus; given once it is part of the document

function flat(children) {
  return children
    .flat(Infinity)
    .filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (typeof child === "object" ? child : { tag: "#text", text: String(child), props: {}, children: [] }));
}

function patch(parent, children, isSvg) {
  const wanted = new Set(children.map((child) => child.key).filter((key) => key !== undefined));
  const keyed = new Map();
  for (const node of [...parent.childNodes]) {
    const key = node.described?.key;
    if (key === undefined) continue;
    if (wanted.has(key)) keyed.set(key, node);
    else node.remove();
  }
  let cursor = parent.firstChild;
  for (const child of children) {
    let node = child.key === undefined ? cursor : keyed.get(child.key);
    const fits = node?.described && node.described.tag === child.tag && node.described.key === child.key;
    if (!fits) {
      node = create(child, isSvg);
      parent.insertBefore(node, cursor);
    } else if (node === cursor) {
      cursor = cursor.nextSibling;
      update(node, child, isSvg);
    } else {
      parent.insertBefore(node, cursor);
      update(node, child, isSvg);
    }
  }
  while (cursor) {
    const next = cursor.nextSibling;
    cursor.remove();
    cursor = next;
  }
}

function create(description, isSvg) {
  if (description.tag === "#text") {
    const node = document.createTextNode(description.text);
    node.described = description;
    return node;
  }
  const inSvg = isSvg || description.tag === "svg";
  const node = inSvg ? document.createElementNS(SVG, description.tag) : document.createElement(description.tag);
  node.described = { tag: description.tag, key: description.key, props: {}, children: [] };
  update(node, description, isSvg);
  return node;
}

function update(node, description, isSvg) {
  const before = node.described;
  node.described = description;
  if (description.tag === "#text") {
    if (before.text !== description.text) node.data = description.text;
    return;
  }
  for (const name of Object.keys(before.props)) if (!(name in description.props)) set(node, name, undefined);
  for (const [name, value] of Object.entries(description.props)) {
    if (name === "vars" || before.props[name] !== value) set(node, name, value);
  }
  patch(node, description.children, isSvg || description.tag === "svg");
  if (description.props.focus && !before.props.focus) focusNext = node;
}

function set(node, name, value) {
  if (name === "key" || name === "focus") return;
  if (name.startsWith("on")) node[name] = value ?? null;
  else if (name === "value") {
    if (document.activeElement !== node && node.value !== value) node.value = value ?? "";
  } else if (name === "vars") {
    for (const [variable, text] of Object.entries(value ?? {})) node.style.setProperty(variable, text);
  } else if (value === undefined || value === null || value === false) node.removeAttribute(name);
  else node.setAttribute(name, value === true ? "" : value);
}
