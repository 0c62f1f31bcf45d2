import { token } from './api.js';
import { el } from './dom.js';
import { sample } from './schema.js';

/**
 * A request that the user can edit, copy as curl, and send.
 *
 * @param {string} method
 * @param {string} path with `{name}` parameters
 * @param {Record<string, any>} operation of the OpenAPI document
 * @param {Record<string, any>} named the document's schemas
 */
export function tryIt(method, path, operation, named) {
  const schema = operation['requestBody']?.content['application/json']?.schema;
  const streams = Object.values(operation['responses']).some(({ content }) => content?.['text/event-stream']);
  const inputs = (operation['parameters'] ?? [])
    .filter((/** @type {any} */ { in: where, required }) => where === 'path' || required)
    .map((/** @type {any} */ { name, in: where, schema: of }) => {
      const input = /** @type {HTMLInputElement} */ (
        el('input', { value: sample(of, named) ?? '', spellcheck: 'false' })
      );
      return { name, where, input };
    });
  const body = /** @type {HTMLTextAreaElement} */ (
    el('textarea', { rows: 8, spellcheck: 'false', 'aria-label': 'Body' })
  );
  if (schema) body.value = JSON.stringify(sample(schema, named), null, 2);

  const curl = el('code');
  const copy = el('button', { type: 'button', class: 'quiet' }, 'Copy');
  const answer = el('div', { 'aria-live': 'polite' });
  const send = el('button', { class: 'primary' }, 'Send');
  const form = /** @type {HTMLFormElement} */ (
    el(
      'form',
      { class: 'try-it' },
      ...inputs.map((/** @type {any} */ { name, input }) => el('label', {}, name, input)),
      schema && body,
      el('div', { class: 'curl' }, el('pre', {}, curl), copy),
      streams ? undefined : el('p', {}, send),
      answer,
    )
  );

  function target() {
    let filled = path;
    const query = new URLSearchParams();
    for (const { name, where, input } of inputs) {
      if (where === 'path') filled = filled.replace(`{${name}}`, encodeURIComponent(input.value));
      else query.set(name, input.value);
    }
    return query.size > 0 ? `${filled}?${query}` : filled;
  }

  function show() {
    const parts = [
      `curl ${streams ? '-N ' : ''}${method === 'GET' ? '' : `-X ${method} `}${quote(location.origin + target())}`,
    ];
    if (token.get()) parts.push(`-H ${quote('authorization: Bearer $TOKEN')}`);
    if (schema) parts.push(`-H ${quote('content-type: application/json')}`, `-d ${quote(compacted(body.value))}`);
    curl.textContent = parts.join(' \\\n  ');
  }
  form.addEventListener('input', show);
  show();

  copy.addEventListener('click', () => {
    void navigator.clipboard.writeText(curl.textContent).then(() => (copy.textContent = 'Copied'));
  });
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    void call();
  });

  async function call() {
    const headers = {
      ...(schema && { 'content-type': 'application/json' }),
      ...(token.get() && { authorization: `Bearer ${token.get()}` }),
    };
    try {
      const response = await fetch(target(), { method, headers, ...(schema && { body: body.value }) });
      const text = await response.text();
      answer.replaceChildren(
        el('p', { class: response.ok ? 'answered' : 'failed' }, `${response.status} ${response.statusText}`),
        ...['location', 'link', 'etag', 'retry-after', 'x-trace-id'].flatMap((name) => {
          const value = response.headers.get(name);
          return value === null ? [] : [el('p', { class: 'hint' }, `${name}: `, el('code', {}, value))];
        }),
        ...(text === '' ? [] : [el('pre', {}, el('code', {}, pretty(text)))]),
      );
    } catch (error) {
      answer.replaceChildren(el('p', { class: 'failed' }, `No answer: ${/** @type {Error} */ (error).message}`));
    }
  }

  return form;
}

/** @param {string} text for a POSIX shell */
const quote = (text) => `'${text.replaceAll("'", String.raw`'\''`)}'`;

/** @param {string} text */
function compacted(text) {
  try {
    return JSON.stringify(JSON.parse(text));
  } catch {
    return text;
  }
}

/** @param {string} text */
function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
