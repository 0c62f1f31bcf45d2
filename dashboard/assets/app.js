import { getJson } from './api.js';
import { revenueChart } from './chart.js';
import { byId, note } from './dom.js';
import { follow } from './events.js';
import { alertFeed, orderFeed } from './feed.js';
import { figures, showStatuses } from './figures.js';
import { journey } from './journey.js';
import { orderForm, userForm } from './order-form.js';
import { startPage } from './page.js';
import { showNotifications } from './panels.js';
import { failing, refresh } from './refresh.js';

const settings = await startPage();

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
panel('alerts', '/analytics/alerts?limit=8', 60_000, (list) => alerts.show(list));
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

async function offerCustomers() {
  try {
    const users = await form.load();
    if (users.length === 0) byId('register').open = true;
  } catch (error) {
    trip.failed('The customers cannot be shown.', error);
    setTimeout(offerCustomers, 5_000);
  }
}
