import { el, note, svg } from './dom.js';
import { ago, count, fullTime, money, rate, timeOfDay } from './format.js';
import { statusBadge } from './figures.js';

const shown = 12;
const historySeconds = 60;
const drawMs = 250;

/**
 * @typedef {{type: string, orderId: number, userId: number, status: string, previousStatus?: string, totalAmount: number, time: string}} OrderNews
 */

/**
 * The latest changes of orders. Thousands may come each second: the panel is drawn at most four times a second, and keeps
 * only the newest.
 *
 * @param {HTMLElement} panel
 * @param {HTMLElement} hint
 * @param {HTMLElement} pause
 */
export function orderFeed(panel, hint, pause) {
  /** @type {OrderNews[]} */
  let news = [];
  let paused = false;
  let drawing = 0;
  const perSecond = Array.from({ length: historySeconds }, () => 0);

  function draw() {
    drawing = 0;
    if (paused) return;
    panel.dataset['loaded'] = '';
    if (news.length === 0) {
      panel.replaceChildren(note('No orders yet', 'They appear here when they are accepted.'));
      return;
    }
    panel.replaceChildren(el('ol', { class: 'feed' }, ...news.map(row)));
  }

  function plan() {
    drawing ||= setTimeout(draw, drawMs);
  }

  pause.addEventListener('click', () => {
    paused = !paused;
    pause.setAttribute('aria-pressed', String(paused));
    pause.textContent = paused ? 'Go on' : 'Pause';
    plan();
  });
  setInterval(() => {
    const last = perSecond.slice(-5).reduce((sum, n) => sum + n, 0) / 5;
    hint.replaceChildren(sparkline(perSecond), rate(last));
    perSecond.push(0);
    perSecond.shift();
  }, 1_000);

  return {
    /** @param {OrderNews} item */
    add(item) {
      perSecond[historySeconds - 1] += 1;
      news = [item, ...news.slice(0, shown - 1)];
      plan();
    },
    /**
     * The orders from before the page was opened.
     *
     * @param {{id: number, userId: number, status: string, totalAmount: number, updatedAt: string}[]} orders newest first
     */
    start(orders) {
      const old = orders.map(({ id, userId, status, totalAmount, updatedAt }) => ({
        type: 'order',
        orderId: id,
        userId,
        status,
        totalAmount,
        time: updatedAt,
      }));
      const known = new Set(news.map(({ orderId }) => orderId));
      news = [...news, ...old.filter(({ orderId }) => !known.has(orderId))].slice(0, shown);
      draw();
    },
  };
}

/** @param {OrderNews} item */
function row({ type, orderId, userId, status, previousStatus, totalAmount, time }) {
  const happened =
    type === 'order.deleted'
      ? el('span', { class: 'badge', 'data-status': 'CANCELLED' }, 'Deleted')
      : el(
          'span',
          {},
          previousStatus ? el('span', { class: 'was' }, `${previousStatus.toLowerCase()} → `) : undefined,
          statusBadge(status),
        );
  return el(
    'li',
    {},
    el('b', {}, `Order ${orderId}`),
    el('span', { class: 'dim' }, `customer ${userId}`),
    happened,
    el('span', { class: 'numeric' }, money(totalAmount)),
    el('time', { datetime: time, title: fullTime(time) }, timeOfDay(time)),
  );
}

/** @param {number[]} values */
function sparkline(values) {
  const top = Math.max(1, ...values);
  const points = values.map((value, i) => `${(i / (values.length - 1)) * 80},${18 - (value / top) * 16}`).join(' ');
  const label = `${count(values.reduce((sum, n) => sum + n, 0))} in the last minute`;
  return svg(
    'svg',
    { class: 'spark', width: 80, height: 20, role: 'img', 'aria-label': label },
    svg('polyline', { points }),
  );
}

/**
 * The latest alerts.
 *
 * @param {HTMLElement} panel
 */
export function alertFeed(panel) {
  /** @type {any[]} */
  let alerts = [];
  let drawing = 0;

  function draw() {
    drawing = 0;
    panel.dataset['loaded'] = '';
    if (alerts.length === 0) {
      panel.replaceChildren(note('No alerts', 'An order of more than 1,000 raises one.'));
      return;
    }
    panel.replaceChildren(el('ol', { class: 'alerts' }, ...alerts.map(alertRow)));
  }
  // update the ages
  setInterval(draw, 30_000);

  return {
    /** @param {any} alert */
    add(alert) {
      alerts = [alert, ...alerts.filter(({ id }) => id !== alert.id)].slice(0, 8);
      drawing ||= setTimeout(draw, drawMs);
    },
    /** @param {any[]} latest */
    show(latest) {
      alerts = latest.slice(0, 8);
      draw();
    },
  };
}

/** @param {any} alert */
function alertRow({ type, severity, message, createdAt }) {
  return el(
    'li',
    { 'data-severity': severity },
    el('p', {}, message),
    el(
      'p',
      { class: 'hint' },
      `${severity} · ${type} · `,
      el('time', { datetime: createdAt, title: fullTime(createdAt) }, ago(createdAt)),
    ),
  );
}
