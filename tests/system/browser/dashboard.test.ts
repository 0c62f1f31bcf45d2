import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { contracts } from '#contracts/index.ts';
import { chromiumPath, launch, open, startSite } from './browser.ts';
import type { Site } from './browser.ts';
import { allowSeconds } from '#test/time-limit.ts';

allowSeconds(300); // it starts a browser, beside tests that start whole platforms

const lowContrast = readFileSync(new URL('contrast.js', import.meta.url), 'utf8');

const skip = chromiumPath ? false : 'there is no Chromium on this machine (CHROMIUM can name one)';

const ada = {
  id: 1,
  username: 'ada',
  email: 'ada@example.org',
  firstName: 'Ada',
  lastName: 'Lovelace',
  status: 'ACTIVE',
  createdAt: '2026-01-01T00:00:00.000Z',
  updatedAt: '2026-01-01T00:00:00.000Z',
};

const alert = (id: number, message: string) => ({
  id,
  type: 'high-value-order',
  severity: 'warning',
  message,
  key: '1',
  windowStart: null,
  windowEnd: null,
  value: 1249,
  threshold: 1000,
  createdAt: new Date().toISOString(),
});

const iso = (time: number) => new Date(time).toISOString();

/** Data for every panel. */
function fill({ stand }: Site): void {
  const now = Date.now();
  const hour = Math.floor(now / 3_600_000) * 3_600_000;
  stand.users.push(ada);
  const ordersByStatus = { PENDING: 3, CONFIRMED: 2, SHIPPED: 1, DELIVERED: 4, CANCELLED: 1 };
  const figures = { ordersToday: 1234, revenueToday: 98765.4, activeUsersToday: 17, averageOrderValue: 80.04 };
  Object.assign(stand.dashboard, figures, { ordersByStatus });
  const periodStart = iso(hour);
  stand.revenue.push({
    periodStart,
    periodEnd: iso(hour + 3_600_000),
    revenue: 512.5,
    orders: 5,
    averageOrderValue: 102.5,
  });
  stand.alerts.push(alert(1, 'Order 7 is worth 1249.00'));
  for (const [query, state] of Object.entries({ revenue: 'Running', 'new-users': 'Waiting', spike: 'Failed' })) {
    const progress = { lag: 1204, eventsPerSecond: 8.25, lateEvents: 0, watermark: iso(now) };
    stand.streams.push({ query, version: 1, state, sources: ['order-events'], window: '10m', ...progress });
  }
  for (const [i, status] of ['SENT', 'PENDING', 'FAILED'].entries()) {
    const mail = { type: 'user.created', channel: 'EMAIL', recipient: ada.email, subject: 'Welcome', body: '' };
    stand.notifications.push({
      id: i + 1,
      userId: 1,
      eventId: `user-1-${i}`,
      ...mail,
      status,
      attempts: 2,
      createdAt: iso(now),
      sentAt: null,
    });
  }
}

const text = (page: Page, selector: string) => page.locator(selector).innerText();

/** Waits until the text that an element shows matches. */
async function sees(page: Page, selector: string, pattern: RegExp): Promise<void> {
  let shown = '';
  for (const end = performance.now() + 15_000; performance.now() < end; await page.waitForTimeout(50)) {
    shown = (await page.locator(selector).allInnerTexts()).join('\n');
    if (pattern.test(shown)) return;
  }
  assert.match(shown, pattern);
}

describe('the pages of the gateway, in a browser', { skip }, () => {
  let browser: Browser;
  let site: Site;

  before(async () => {
    browser = await launch();
  });
  after(() => browser.close());
  beforeEach(async () => {
    site = await startSite();
  });
  afterEach(async () => {
    await Promise.all(browser.contexts().map((context) => context.close()));
    await site.close();
  });

  it('explain themselves while they have no data', async () => {
    const { page, faults } = await open(browser, site.url);
    await sees(page, '#connection', /^Live$/);
    await sees(page, '#figures', /Orders today\s+0/);
    await sees(page, '#revenue', /No revenue yet/);
    await sees(page, '#orders', /No orders yet/);
    await sees(page, '#alerts', /No alerts/);
    await sees(page, '#notifications', /No notifications yet/);
    await page.getByLabel('Username').waitFor();
    assert.deepEqual(faults, []);
  });

  it('show the figures of the day, the hours, the queries and the services', async () => {
    fill(site);
    const { page, faults } = await open(browser, site.url, { locale: 'en-GB' });
    await sees(page, '#figures', /1,234[^]*98,765\.40[^]*17[^]*80\.04/);
    await sees(page, '#statuses', /Pending\s+3[^]*Delivered\s+4/);
    assert.equal(await page.locator('#revenue .hour').count(), 24);
    assert.match(
      (await page.locator('#revenue svg').getAttribute('aria-label')) ?? '',
      /5 orders in 24 hours.*512\.50/,
    );
    await sees(page, '#queries', /revenue\s+Running\s+10m\s+1,204\s+8\.3\/s/);
    await sees(page, '#notifications', /FAILED \(2 attempts\)/);
    for (const name of ['users', 'orders', 'notifications', 'analytics'])
      await sees(page, '#health li', new RegExp(`Up\\s+${name}`));
    assert.deepEqual(faults, []);
  });

  it('take a newcomer from registration to the e-mail of an order', async () => {
    const { page, faults } = await open(browser, site.url, { locale: 'en-GB' });
    await page.getByRole('button', { name: 'Register', exact: true }).click();
    await sees(page, '#journey', /is customer 1\. A welcome goes to/);
    await page.getByLabel('Product').selectOption({ label: 'Espresso machine (1,249.00)' });
    await page.getByLabel('Quantity').fill('2');
    await page.getByRole('button', { name: 'Place order 2,498.00' }).click();
    await page.locator('#journey li[data-state="done"]').nth(3).waitFor();
    await sees(page, '#journey', /Order 1 2,498\.00[^]*Your order 1/);
    await sees(page, '#orders', /Order 1\s+customer 1\s+Pending\s+2,498\.00/);
    assert.deepEqual(
      site.stand.orders[0]!.items.map(({ quantity, unitPrice, totalPrice }) => ({ quantity, unitPrice, totalPrice })),
      [{ quantity: 2, unitPrice: 1249, totalPrice: 2498 }],
    );
    assert.deepEqual(faults, []);
  });

  it('show why a command was refused, field by field', async () => {
    fill(site);
    const { page } = await open(browser, site.url);
    const errors = [{ field: 'items[0].quantity', message: 'must be at most 5' }];
    await page.route('**/api/orders', (route) =>
      route.fulfill({
        status: 400,
        json: { title: 'Bad Request', status: 400, detail: 'The body has a fault', errors },
      }),
    );
    await page.getByRole('button', { name: /^Place order/ }).click();
    await sees(
      page,
      '#journey',
      /The order was not accepted\. The body has a fault[^]*items\[0\]\.quantity must be at most 5/,
    );
  });

  it('show text as text, whatever it contains', async () => {
    const evil = `<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>`;
    fill(site);
    const { stand } = site;
    stand.users[0] = { ...ada, username: evil };
    stand.alerts.push(alert(2, evil));
    Object.assign(stand.notifications[0]!, { subject: evil });
    Object.assign(stand.streams[0]!, { query: evil });
    Object.assign(stand.dashboard, { ordersByStatus: { [evil]: 1 } });
    const { page, faults } = await open(browser, site.url);
    for (const panel of ['#alerts', '#notifications', '#queries']) await sees(page, panel, /<img src=x/);
    stand.push('alert', alert(3, `live ${evil}`));
    await sees(page, '#alerts', /live <img src=x/);
    assert.equal(await page.locator('main img, main script').count(), 0);
    assert.equal(await page.evaluate('window.pwned'), undefined);
    assert.deepEqual(faults, []);
  });

  it('follow the live stream, and resume after it breaks', async () => {
    const { page } = await open(browser, site.url);
    await sees(page, '#connection', /^Live$/);
    site.stand.push('alert', alert(1, 'the first'));
    await sees(page, '#alerts', /the first/);
    site.stand.broken.set('/analytics/stream', 503);
    site.stand.endStreams();
    await sees(page, '#connection', /^Reconnecting$/);
    site.stand.broken.clear();
    await sees(page, '#connection', /^Live$/);
    site.stand.push('alert', alert(2, 'the second'));
    await sees(page, '#alerts', /the second/);
  });

  it('name the service that is down, keep their data, and recover', async () => {
    fill(site);
    const { page } = await open(browser, site.url);
    await sees(page, '#queries', /Running/);
    site.stand.broken.set('/analytics/streams', 503);
    await sees(page, '#queries', /Running[^]*\/analytics\/streams is broken\. This is the latest that is known/);
    site.stand.broken.set('/health', 503);
    await sees(page, '#health', /Down\s+analytics/);
    site.stand.broken.clear();
    await page.locator('#queries .stale').waitFor({ state: 'detached' });
    await sees(page, '#health', /Up\s+analytics/);
  });

  it('stay fast under many orders', async () => {
    const { page } = await open(browser, site.url);
    await sees(page, '#connection', /^Live$/);
    const time = new Date().toISOString();
    for (let orderId = 1; orderId <= 5_000; orderId += 1) {
      site.stand.push('order', { type: 'order.created', orderId, userId: 1, status: 'PENDING', totalAmount: 1, time });
    }
    await sees(page, '#orders', /Order 5000/);
    assert.equal(await page.locator('#orders li').count(), 12);
    const asked = site.stand.seen.filter((call) => call === 'GET /analytics/dashboard').length;
    assert.ok(asked <= 6, `the figures were requested ${asked} times`);
  });

  it('can be read in both themes, which a button changes', async () => {
    fill(site);
    for (const path of ['/', '/docs']) {
      for (const colorScheme of ['light', 'dark'] as const) {
        const { page } = await open(browser, site.url + path, { colorScheme });
        await page.locator('main table:visible').first().waitFor();
        assert.deepEqual(await page.evaluate(lowContrast), [], `${path} ${colorScheme}`);
      }
    }
    const { page } = await open(browser, site.url, { colorScheme: 'light' });
    const ground = () => page.evaluate('getComputedStyle(document.body).backgroundColor');
    const light = await ground();
    const button = page.getByRole('button', { name: 'Colour theme' });
    await button.click();
    assert.equal(await ground(), light);
    await button.click();
    assert.notEqual(await ground(), light);
    await page.reload();
    assert.equal(await button.innerText(), 'Dark');
  });

  it('fit a telephone and the keyboard', async () => {
    fill(site);
    for (const path of ['/', '/docs']) {
      const { page } = await open(browser, site.url + path, { viewport: { width: 360, height: 740 } });
      await page.locator('main table:visible').first().waitFor();
      assert.equal(await page.evaluate('document.documentElement.scrollWidth'), 360, path);
      await page.keyboard.press('Tab');
      assert.equal(await page.evaluate('document.activeElement.textContent'), 'Skip to the content');
      await page.keyboard.press('Enter');
      assert.equal(await page.evaluate('document.activeElement.id'), 'main');
    }
  });

  it('document every operation and can try it', async () => {
    fill(site);
    const { page, faults } = await open(browser, `${site.url}/docs`);
    await page.locator('article').first().waitFor();
    for (const { id } of contracts.operations) assert.equal(await page.locator(`article#${id}`).count(), 1, id);
    assert.doesNotMatch(await text(page, '#main'), /`/);
    const card = page.locator('#getUser');
    await card.getByText('Try it').click();
    await card.getByLabel('id').fill('7');
    assert.equal(await text(page, '#getUser .curl code'), `curl '${site.url}/api/users/7'`);
    const list = page.locator('#listUsers');
    await list.getByText('Try it').click();
    await list.getByRole('button', { name: 'Send' }).click();
    await sees(page, '#listUsers', /200 OK[^]*"username": "ada"/);
    await sees(page, '#topic-order-events', /order\.status-changed/);
    assert.deepEqual(faults, []);
  });
});
