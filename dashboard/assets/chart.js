import { el, note, svg } from './dom.js';
import { compact, count, money, ticks } from './format.js';

const hourMs = 3_600_000;
const height = 220;
const margin = { top: 12, right: 18, bottom: 24, left: 48 };

/**
 * Adds the hours without an order, which have no period; oldest first.
 *
 * @param {{periodStart: string, revenue: number, orders: number, averageOrderValue: number}[]} periods
 * @param {number} hours
 * @param {number} now ms since the epoch
 */
export function fillHours(periods, hours, now) {
  const known = new Map(periods.map((period) => [Date.parse(period.periodStart), period]));
  const last = Math.floor(now / hourMs) * hourMs;
  return Array.from({ length: hours }, (_, i) => {
    const start = last - (hours - 1 - i) * hourMs;
    const period = known.get(start);
    return { start, revenue: period?.revenue ?? 0, orders: period?.orders ?? 0 };
  });
}

const hourOf = (/** @type {number} */ time) => `${String(new Date(time).getUTCHours()).padStart(2, '0')}:00`;

/**
 * Revenue by hour as bars, with the same figures as a table.
 *
 * @param {HTMLElement} panel
 */
export function revenueChart(panel) {
  /** @type {ReturnType<typeof fillHours>} */
  let hours = [];
  const tip = el('p', { class: 'tip', hidden: true });

  function draw() {
    if (hours.length === 0) return;
    const width = Math.max(280, panel.clientWidth);
    const scale = ticks(Math.max(...hours.map(({ revenue }) => revenue)), 4);
    const top = scale.at(-1) ?? 1;
    const inner = { width: width - margin.left - margin.right, height: height - margin.top - margin.bottom };
    const y = (/** @type {number} */ value) => margin.top + inner.height * (1 - value / top);
    const slot = inner.width / hours.length;
    const every = slot < 18 ? 6 : slot < 30 ? 4 : 2;

    const lines = scale.flatMap((value) => [
      svg('line', { class: 'grid', x1: margin.left, x2: width - margin.right, y1: y(value), y2: y(value) }),
      svg('text', { class: 'axis', x: margin.left - 8, y: y(value) + 4, 'text-anchor': 'end' }, compact(value)),
    ]);
    const bars = hours.map(({ start, revenue }, i) => {
      const x = margin.left + i * slot;
      const tall = revenue === 0 ? 0 : Math.max(2, y(0) - y(revenue));
      const group = svg('g', { class: i === hours.length - 1 ? 'hour now' : 'hour' });
      group.append(
        svg('rect', { class: 'hit', x, y: margin.top, width: slot, height: inner.height }),
        svg('rect', {
          class: 'value',
          x: x + slot * 0.14,
          y: y(0) - tall,
          width: slot * 0.72,
          height: tall,
          rx: Math.min(3, slot / 6),
        }),
      );
      if ((hours.length - 1 - i) % every === 0) {
        group.append(
          svg('text', { class: 'axis', x: x + slot / 2, y: height - 6, 'text-anchor': 'middle' }, hourOf(start)),
        );
      }
      group.addEventListener('pointerenter', () => point(i, x + slot / 2, y(0) - tall));
      return group;
    });
    const picture = svg(
      'svg',
      { width, height, viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': summary() },
      ...lines,
      ...bars,
    );
    picture.addEventListener('pointerleave', () => (tip.hidden = true));
    const open = panel.querySelector('details')?.open ?? false;
    panel.replaceChildren(picture, tip, asTable(open));
  }

  /**
   * @param {number} i
   * @param {number} x
   * @param {number} y
   */
  function point(i, x, y) {
    const { start, revenue, orders } = hours[i];
    tip.replaceChildren(
      el('b', {}, money(revenue)),
      ` ${count(orders)} ${orders === 1 ? 'order' : 'orders'} from ${hourOf(start)}`,
    );
    tip.hidden = false;
    const half = tip.offsetWidth / 2;
    tip.style.left = `${Math.min(Math.max(x, half), panel.clientWidth - half)}px`;
    tip.style.top = `${Math.max(y - 8, 30)}px`;
  }

  function summary() {
    const best = hours.reduce((a, b) => (b.revenue > a.revenue ? b : a));
    const total = hours.reduce((sum, { orders }) => sum + orders, 0);
    return `Revenue by hour: ${count(total)} orders in ${hours.length} hours, most at ${hourOf(best.start)} UTC with ${money(best.revenue)}`;
  }

  /** @param {boolean} open */
  function asTable(open) {
    const rows = hours
      .filter(({ orders }) => orders > 0)
      .toReversed()
      .map(({ start, revenue, orders }) =>
        el(
          'tr',
          {},
          el('th', { scope: 'row' }, hourOf(start)),
          el('td', { class: 'numeric' }, money(revenue)),
          el('td', { class: 'numeric' }, count(orders)),
        ),
      );
    const head = el(
      'tr',
      {},
      el('th', { scope: 'col' }, 'Hour, UTC'),
      el('th', { scope: 'col', class: 'numeric' }, 'Revenue'),
      el('th', { scope: 'col', class: 'numeric' }, 'Orders'),
    );
    return el(
      'details',
      { open },
      el('summary', {}, 'As a table'),
      el('table', {}, el('thead', {}, head), el('tbody', {}, ...rows)),
    );
  }

  new ResizeObserver(draw).observe(panel);
  return {
    /** @param {Parameters<typeof fillHours>[0]} periods */
    show(periods) {
      panel.dataset['loaded'] = '';
      if (periods.length === 0) {
        hours = [];
        panel.replaceChildren(note('No revenue yet', 'Place an order below and it appears here.'));
        return;
      }
      hours = fillHours(periods, 24, Date.now());
      draw();
    },
  };
}
