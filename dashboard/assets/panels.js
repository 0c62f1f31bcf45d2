import { el, note, table } from './dom.js';
import { ago, count, fullTime, rate, timeOfDay } from './format.js';

/**
 * @param {HTMLElement} panel
 * @param {any[]} streams
 */
export function showQueries(panel, streams) {
  panel.dataset['loaded'] = '';
  if (streams.length === 0) {
    panel.replaceChildren(note('No stream query is declared'));
    return;
  }
  const columns = [
    { title: 'Query' },
    { title: 'State' },
    { title: 'Window' },
    { title: 'Lag', numeric: true },
    { title: 'Events', numeric: true },
    { title: 'Late', numeric: true },
    { title: 'Watermark' },
  ];
  const rows = streams.map((stream) => [
    stream.query,
    el('span', { class: 'state', 'data-state': stream.state }, stream.state),
    stream.window ?? 'none',
    count(stream.lag),
    rate(stream.eventsPerSecond),
    count(stream.lateEvents),
    stream.watermark === null
      ? el('span', { class: 'dim' }, 'no event yet')
      : el('time', { datetime: stream.watermark, title: fullTime(stream.watermark) }, timeOfDay(stream.watermark)),
  ]);
  panel.replaceChildren(table('Stream queries', columns, rows));
}

/**
 * @param {HTMLElement} panel
 * @param {any[]} notifications
 */
export function showNotifications(panel, notifications) {
  panel.dataset['loaded'] = '';
  if (notifications.length === 0) {
    panel.replaceChildren(note('No notifications yet', 'The platform sends e-mails about new customers and orders.'));
    return;
  }
  const columns = [
    { title: 'Subject' },
    { title: 'To' },
    { title: 'Status' },
    { title: 'About' },
    { title: 'Created' },
  ];
  const rows = notifications
    .slice(0, 8)
    .map(({ subject, recipient, status, attempts, type, createdAt }) => [
      subject,
      recipient ?? '–',
      el('span', { class: 'state', 'data-state': status }, attempts > 1 ? `${status} (${attempts} attempts)` : status),
      type,
      el('time', { datetime: createdAt, title: fullTime(createdAt) }, ago(createdAt)),
    ]);
  panel.replaceChildren(table('Latest notifications', columns, rows));
}

/**
 * @param {HTMLElement} panel
 * @param {{checks: Record<string, any>}} health
 */
export function showHealth(panel, { checks }) {
  panel.dataset['loaded'] = '';
  const rows = Object.entries(checks).map(([name, { status, reason, circuit, responseMs }]) =>
    el(
      'li',
      {},
      el('span', { class: 'state', 'data-state': status }, status === 'UP' ? 'Up' : 'Down'),
      el('b', {}, name),
      el('span', { class: 'dim numeric' }, status === 'UP' ? `${responseMs} ms` : ''),
      status === 'UP' && circuit === 'closed'
        ? undefined
        : el(
            'p',
            { class: 'hint' },
            [reason, circuit === 'closed' ? '' : `requests are refused (circuit ${circuit})`]
              .filter(Boolean)
              .join('; '),
          ),
    ),
  );
  panel.replaceChildren(el('ul', { class: 'services' }, ...rows));
}
