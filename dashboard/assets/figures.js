import { el } from './dom.js';
import { count, money, timeOfDay } from './format.js';

const statuses = ['PENDING', 'CONFIRMED', 'SHIPPED', 'DELIVERED', 'CANCELLED'];

const tiles = /** @type {const} */ ([
  ['ordersToday', 'Orders today', count],
  ['revenueToday', 'Revenue today', money],
  ['activeUsersToday', 'Active users today', count],
  ['averageOrderValue', 'Average order', money],
]);

/**
 * The four figures of the day.
 *
 * @param {HTMLElement} panel
 */
export function figures(panel) {
  const values = tiles.map(([name, title, format]) => {
    const value = el('p', { class: 'figure loading' }, '–');
    panel.append(el('article', { class: 'card tile' }, el('h2', {}, title), value));
    return { name, value, format };
  });
  const hint = el('p', { class: 'hint as-of' });
  panel.append(hint);

  return {
    /** @param {Record<string, any>} dashboard */
    show(dashboard) {
      for (const { name, value, format } of values) {
        const text = format(Number(dashboard[name]));
        value.classList.remove('loading');
        if (value.textContent !== text) value.textContent = text;
      }
      hint.textContent = `UTC day, as of ${timeOfDay(dashboard['updatedAt'])}`;
      hint.classList.remove('stale');
    },
    /** @param {Error} error */
    fail(error) {
      for (const { value } of values) value.classList.remove('loading');
      hint.textContent = `${error.message}. These figures may be out of date.`;
      hint.classList.add('stale');
    },
  };
}

/**
 * The number of orders in each status, as bars.
 *
 * @param {HTMLElement} panel
 * @param {Record<string, number>} byStatus
 */
export function showStatuses(panel, byStatus) {
  const names = [...new Set([...statuses, ...Object.keys(byStatus)])];
  const largest = Math.max(1, ...Object.values(byStatus));
  const rows = names.map((name) => {
    const value = byStatus[name] ?? 0;
    const bar = el('span', { class: 'bar', 'data-status': name });
    bar.style.setProperty('--share', String(value / largest));
    return el(
      'li',
      {},
      statusBadge(name),
      el('span', { class: 'track', 'aria-hidden': 'true' }, bar),
      el('b', {}, count(value)),
    );
  });
  panel.dataset['loaded'] = '';
  panel.replaceChildren(el('ul', { class: 'bars' }, ...rows));
}

/** @param {string} status */
export function statusBadge(status) {
  return el('span', { class: 'badge', 'data-status': status }, status.charAt(0) + status.slice(1).toLowerCase());
}
