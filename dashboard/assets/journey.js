import { ApiError, getJson, idempotencyKey, send } from './api.js';
import { el } from './dom.js';
import { money } from './format.js';
import { statusBadge } from './figures.js';
import { step } from './steps.js';

const life = ['CONFIRMED', 'SHIPPED', 'DELIVERED'];

const stations = [
  'Accepted: order and event are durable',
  'In the read model',
  'Counted by analytics, on the live stream',
  'E-mail sent',
];

/** The number of remembered orders of the live stream: an event can arrive before the response to its command. */
const remembered = 200;

/**
 * Shows the progress of a command: the response, the read model, the live stream, the e-mail.
 *
 * @param {HTMLElement} panel
 * @param {{traceUrl?: string, mailUrl?: string}} settings
 */
export function journey(panel, settings) {
  /** @type {{orderId: number, status: string, seen: () => void} | undefined} */
  let awaited;
  /** @type {string[]} */
  let recent = [];
  intro();

  function intro() {
    panel.replaceChildren(
      el('p', { class: 'hint' }, 'Place an order and watch its progress:'),
      el('ol', { class: 'steps' }, ...stations.map((text) => step(text).item)),
    );
  }

  /** @param {string | undefined} traceId */
  function trace(traceId) {
    if (!traceId || /^0+$/.test(traceId)) return undefined;
    const href = settings.traceUrl?.replace('{traceId}', encodeURIComponent(traceId));
    return el(
      'p',
      { class: 'trace' },
      'Trace ',
      href ? el('a', { href, target: '_blank', rel: 'noopener noreferrer' }, traceId) : el('code', {}, traceId),
    );
  }

  /**
   * @param {string} title
   * @param {unknown} error
   */
  function failed(title, error) {
    const { message, errors, traceId } = error instanceof ApiError ? error : new ApiError(String(error));
    const list = errors.map((fault) => el('li', {}, el('code', {}, fault.field), ` ${fault.message}`));
    panel.replaceChildren(
      el('p', { class: 'failed' }, el('b', {}, title), ` ${message}`),
      ...(list.length > 0 ? [el('ul', {}, ...list)] : []),
      ...[trace(traceId)].filter((node) => node !== undefined),
    );
  }

  /** @param {any} order the answer to the command */
  async function follow(order, /** @type {number} */ ms, /** @type {string | undefined} */ traceId) {
    const placedAt = performance.now();
    const way = stations.map(step);
    const [accepted, readable, counted, mailed] = /** @type {[any, any, any, any]} */ (way);
    accepted.done(`${ms.toFixed(0)} ms`);
    const next = el('p', { class: 'row' });
    panel.replaceChildren(
      el('p', {}, el('b', {}, `Order ${order.id}`), ` ${money(order.totalAmount)} `, statusBadge(order.status)),
      el('ol', { class: 'steps' }, ...way.map(({ item }) => item)),
      ...[trace(traceId)].filter((node) => node !== undefined),
      next,
    );
    offer(next, order);
    const since = () => `after ${(performance.now() - placedAt).toFixed(0)} ms`;
    if (recent.includes(`${order.id} ${order.status}`)) counted.done('before the response');
    else awaited = { orderId: order.id, status: order.status, seen: () => counted.done(since()) };
    await Promise.all([
      getJson(`/api/orders/${order.id}?minVersion=${order.version}`).then(
        () => readable.done(since()),
        (error) => readable.fail(error.message),
      ),
      mailOf(order).then(
        (mail) => {
          const link =
            settings.mailUrl &&
            el('a', { href: settings.mailUrl, target: '_blank', rel: 'noopener noreferrer' }, 'read it');
          mailed.done(since(), mail.subject, ...(link ? [' – ', link] : []));
        },
        (error) => mailed.fail(error.message),
      ),
    ]);
  }

  /**
   * Buttons for the allowed status changes of the order.
   *
   * @param {HTMLElement} row
   * @param {any} order
   */
  function offer(row, order) {
    const next = life[life.indexOf(order.status) + 1];
    const choices =
      order.status === 'CANCELLED'
        ? []
        : [next, ['PENDING', 'CONFIRMED'].includes(order.status) ? 'CANCELLED' : undefined];
    const buttons = choices
      .filter((status) => status !== undefined)
      .map((status) => {
        const button = el('button', { type: 'button', class: 'quiet' }, `Set to ${status.toLowerCase()}`);
        button.addEventListener('click', () => void move(order, status));
        return button;
      });
    row.replaceChildren(...buttons);
  }

  /**
   * @param {any} order
   * @param {string} status
   */
  async function move(order, status) {
    try {
      const { body, ms, traceId } = await send('PUT', `/api/orders/${order.id}/status`, { status });
      await follow(body, ms, traceId);
    } catch (error) {
      failed(`Order ${order.id} stays ${order.status.toLowerCase()}.`, error);
    }
  }

  return {
    failed,
    /** @param {{userId: number, items: object[]}} order */
    async place(order) {
      try {
        const { body, ms, traceId } = await send('POST', '/api/orders', order, { 'idempotency-key': idempotencyKey() });
        await follow(body, ms, traceId);
      } catch (error) {
        failed('The order was not accepted.', error);
      }
    },
    /**
     * @param {any} user
     * @param {string | undefined} traceId
     */
    registered(user, traceId) {
      panel.replaceChildren(
        el('p', {}, el('b', {}, user.username), ` is customer ${user.id}. A welcome goes to ${user.email}.`),
        ...[trace(traceId)].filter((node) => node !== undefined),
      );
    },
    /** @param {{orderId: number, status: string}} news of the live stream */
    seen({ orderId, status }) {
      recent = [`${orderId} ${status}`, ...recent.slice(0, remembered - 1)];
      if (awaited?.orderId !== orderId || awaited.status !== status) return;
      awaited.seen();
      awaited = undefined;
    },
  };
}

const mailPatienceMs = 20_000;

/**
 * Waits for the e-mail about the present status of an order.
 *
 * @param {{id: number, userId: number, version: number}} order
 */
async function mailOf({ id, userId, version }) {
  const eventId = `order-${id}-${version}`;
  const end = performance.now() + mailPatienceMs;
  for (let pause = 100; performance.now() < end; pause = Math.min(pause * 1.5, 2_000)) {
    const notifications = await getJson(`/api/notifications/user/${userId}?limit=20`);
    const mail = notifications.find((/** @type {any} */ each) => each.eventId === eventId);
    if (mail?.status === 'SENT') return mail;
    if (mail?.status === 'FAILED') throw new Error(`failed after ${mail.attempts} attempts`);
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
  throw new Error('not within 20 s');
}
