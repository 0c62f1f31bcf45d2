/**
 * Makes an element. It inserts text only as text nodes, so that no data can become markup.
 *
 * @param {string} tag
 * @param {Record<string, string | number | boolean | undefined>} [attributes] `true` sets an empty attribute, `undefined` and `false` none
 * @param {...(Node | string | number | undefined | false)} children
 * @returns {HTMLElement}
 */
export function el(tag, attributes = {}, ...children) {
  return /** @type {HTMLElement} */ (fill(document.createElement(tag), attributes, children));
}

/**
 * The same for SVG.
 *
 * @param {string} tag
 * @param {Record<string, string | number | boolean | undefined>} [attributes]
 * @param {...(Node | string | number | undefined | false)} children
 */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, children);
}

/**
 * @template {Element} E
 * @param {E} element
 * @param {Record<string, string | number | boolean | undefined>} attributes
 * @param {(Node | string | number | undefined | false)[]} children
 * @returns {E}
 */
function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) element.setAttribute(name, value === true ? '' : String(value));
  }
  for (const child of children) {
    if (child !== undefined && child !== false) element.append(typeof child === 'number' ? String(child) : child);
  }
  return element;
}

/**
 * @param {string} id
 * @returns {any} the element, which the page has
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page has no #${id}`);
  return element;
}

/**
 * A sentence of a document: text between backticks is code.
 *
 * @param {string} text
 */
export function prose(text) {
  return el('span', {}, ...text.split('`').map((part, i) => (i % 2 === 1 ? el('code', {}, part) : part)));
}

/**
 * A table with a caption for screen readers.
 *
 * @param {string} caption
 * @param {{title: string, numeric?: boolean}[]} columns
 * @param {(Node | string | number)[][]} rows
 */
export function table(caption, columns, rows) {
  const cell = (/** @type {Node | string | number} */ content, /** @type {number} */ i) => {
    const attributes = { class: columns[i].numeric ? 'numeric' : undefined, 'data-title': columns[i].title };
    return i === 0 ? el('th', { ...attributes, scope: 'row' }, content) : el('td', attributes, content);
  };
  return el(
    'table',
    {},
    el('caption', { class: 'unseen' }, caption),
    el(
      'thead',
      {},
      el(
        'tr',
        {},
        ...columns.map(({ title, numeric }) =>
          el('th', { scope: 'col', class: numeric ? 'numeric' : undefined }, title),
        ),
      ),
    ),
    el('tbody', {}, ...rows.map((row) => el('tr', {}, ...row.map(cell)))),
  );
}

/**
 * A text for an empty panel.
 *
 * @param {string} title
 * @param {string} [detail]
 */
export function note(title, detail) {
  return el(
    'div',
    { class: 'note' },
    el('p', { class: 'note-title' }, title),
    detail ? el('p', {}, detail) : undefined,
  );
}
