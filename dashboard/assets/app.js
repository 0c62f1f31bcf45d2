import { getJson, onUnauthorized, token } from './api.js';
import { revenueChart } from './chart.js';
import { byId, note } from './dom.js';
import { follow } from './events.js';
import { alertFeed, orderFeed } from './feed.js';
import { figures, showStatuses } from './figures.js';
import { journey } from './journey.js';
import { orderForm, userForm } from './order-form.js';
import { showHealth, showNotifications, showQueries } from './panels.js';
import { failing, refresh } from './refresh.js';
import { themeButton } from './theme.js';

themeButton(byId('theme'));

const settings = await getJson('/settings.json').catch(() => ({}));
if (settings.mailUrl) {
  byId('mail-link').href = settings.mailUrl;
  byId('mail-link').hidden = false;
}
if (settings.auth) askForToken();

const tiles = figures(byId('figures'));
const chart = revenueChart(byId('revenue'));
const orders = orderFeed(byId('orders'), byId('rate'), byId('pause'));
const alerts = alertFeed(byId('alerts'));
const trip = journey(byId('journey'), settings);
const form = orderForm(byId('order-form'), trip);

const refreshFigures = refresh({
  path: '/analytics/dashboard',
  everyMs: 10_000,
  show(dashboard) {
    tiles.show(dashboard);
    showStatuses(byId('statuses'), dashboard.ordersByStatus);
  },
  fail(error) {
    tiles.fail(error);
    failing(byId('statuses'), note)(error);
  },
});
const refreshRevenue = panel(
  'revenue',
  '/analytics/revenue/hourly?limit=24',
  30_000,
  (periods) => chart.show(periods),
  3_000,
);
const refreshNotifications = panel(
  'notifications',
  '/api/notifications?limit=8',
  10_000,
  (list) => showNotifications(byId('notifications'), list),
  2_000,
);
panel('queries', '/analytics/streams/status', 3_000, (streams) => showQueries(byId('queries'), streams));
panel('alerts', '/analytics/alerts?limit=8', 60_000, (list) => alerts.show(list));
refresh({
  // a report with DOWN has the status 503, and the panel shows it, too
  path: '/health',
  everyMs: 5_000,
  show: (health) => showHealth(byId('health'), health),
  fail: (error) => healthOf(error),
});
void getJson('/api/orders?limit=12').then((list) => orders.start(list), failing(byId('orders'), note));
void offerCustomers();

userForm(byId('user-form'), trip, (user) => {
  byId('register').open = false;
  form.choose(user);
  refreshNotifications();
});

void follow('/analytics/stream', {
  onState(state, reason) {
    const pill = byId('connection');
    pill.dataset.state = state;
    pill.textContent = state === 'live' ? 'Live' : 'Reconnecting';
    pill.title = reason ?? '';
    if (state === 'live') refreshFigures();
  },
  onEvent({ type, data }) {
    for (const item of [JSON.parse(data)].flat()) {
      if (type === 'order') {
        orders.add(item);
        trip.seen(item);
      } else if (type === 'alert') alerts.add(item);
    }
    if (type === 'metric') return;
    refreshFigures();
    refreshRevenue();
    refreshNotifications();
  },
});

/**
 * A panel that shows the responses of an address, and its failures.
 *
 * @param {string} id
 * @param {string} path
 * @param {number} everyMs
 * @param {(data: any) => void} show
 * @param {number} [minMs]
 */
function panel(id, path, everyMs, show, minMs) {
  return refresh({ path, everyMs, show, fail: failing(byId(id), note), ...(minMs && { minMs }) });
}

/** @param {Error & {report?: any}} error */
function healthOf(error) {
  if (error.report?.checks) showHealth(byId('health'), error.report);
  else failing(byId('health'), note)(error);
}

async function offerCustomers() {
  try {
    const users = await form.load();
    if (users.length === 0) byId('register').open = true;
  } catch (error) {
    trip.failed('The customers cannot be shown.', error);
    setTimeout(offerCustomers, 5_000);
  }
}

function askForToken() {
  const box = byId('token-panel');
  onUnauthorized.call = () => (box.hidden = false);
  box.hidden = token.get() !== null;
  byId('token-form').addEventListener('submit', (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    token.set(byId('token-form').elements.token.value.trim());
    location.reload();
  });
}
