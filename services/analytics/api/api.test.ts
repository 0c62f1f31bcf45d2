import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Compile } from 'typebox/compile';
import { analytics } from '#contracts/analytics.ts';
import type { Operation } from '#platform/contract';
import { streamQueryFiles } from '#platform/declarations';
import { Health } from '#platform/health';
import { createHttp } from '#platform/http';
import { createLogger } from '#platform/telemetry';
import { transaction } from '#platform/postgres';
import { createTestDatabase } from '#test/database.ts';
import { loadQueries } from '#streams/language';
import { declare } from '#streams/testing/declare.ts';
import { orderEvent, start } from '#streams/testing/support.ts';
import type { OrderEventOptions } from '#streams/testing/support.ts';
import { Engine, StatusBoard, StreamObserver } from '#streams/runtime';
import { createHandlers } from './handlers.ts';
import { LiveFeed } from './live.ts';

const hour = 3_600_000;
const day = 24 * hour;
/** noon of 2026-01-01, a Thursday */
const now = start + 12 * hour;

const registered = (id: number, userId: number) => ({
  ...orderEvent({ id, topic: 'user-events', time: now }),
  id: `user-${userId}-1`,
  type: 'user.created',
  data: { userId },
});

/** Yesterday one order; today three orders of two users, one of them shipped, one deleted. */
const orders: OrderEventOptions[] = [
  { id: 1, userId: 1, total: 99.99, time: now - day },
  { id: 2, userId: 1, total: 1500.1, time: now - 2 * hour },
  { id: 3, userId: 2, total: 0.2, time: now - hour },
  { id: 4, userId: 2, total: 0.1, time: now },
  {
    id: 5,
    type: 'order.status-changed',
    status: 'SHIPPED',
    previousStatus: 'PENDING',
    createdAt: now - 2 * hour,
    time: now,
  },
  {
    id: 6,
    type: 'order.status-changed',
    status: 'CONFIRMED',
    previousStatus: 'PENDING',
    createdAt: now - day,
    time: now,
  },
  { id: 7, type: 'order.deleted', userId: 2, status: 'PENDING', createdAt: now, time: now },
];

describe('the HTTP interface of analytics', () => {
  const health = new Health();
  let base: string;
  let stop: () => Promise<void>;

  before(async () => {
    const database = await createTestDatabase('analytics');
    const { pool } = database;
    const log = createLogger('test', 'silent');
    const engine = new Engine({
      group: 'analytics',
      pool,
      ...(await declare(pool, 'analytics', loadQueries(streamQueryFiles()))),
      now: () => now,
    });
    const events = [...orders.map(orderEvent), registered(8, 3), registered(9, 4)];
    await transaction(pool, (tx) => engine.handle(tx, events));
    await pool.query(`INSERT INTO millrace.inbox_offsets (consumer_group, topic, partition, next_offset)
      VALUES ('analytics', 'order-events', 0, 8), ('analytics', 'user-events', 0, 10)`);
    const admin = {
      topicId: () => Promise.resolve(undefined),
      watermarks: async (topic: string) => new Map([[0, { low: 0n, high: topic === 'order-events' ? 11n : 10n }]]),
    };
    const observer = new StreamObserver({
      admin,
      pool,
      group: 'analytics',
      topics: () => ['order-events', 'user-events'],
    });
    await observer.refresh();
    const board = new StatusBoard({ pool, observer, versions: () => engine.versions, faults: () => [] });
    await board.sample();
    const live = new LiveFeed({ pool, log });
    const handlers = createHandlers({
      pool,
      plans: () => engine.versions.serving,
      board,
      live,
      health,
      now: () => now,
    });
    const http = createHttp({ contract: analytics, handlers, health, log });
    base = `http://127.0.0.1:${await http.listen(0, '127.0.0.1')}`;
    stop = async () => {
      await live.stop();
      await http.close();
      await database.drop();
    };
  });
  after(() => stop());

  /** Sends a request, checks the response against the contract, and returns its body. */
  async function get(
    id: keyof typeof analytics.operations,
    path: string,
  ): Promise<{ body: unknown; headers: Headers }> {
    const answer = await fetch(`${base}${path}`);
    const body: unknown = await answer.json();
    assert.equal(answer.status, 200, JSON.stringify(body));
    const { schema } = (analytics.operations[id] as Operation).responses[200]!;
    assert.deepEqual(Compile(schema!).Errors(body), [], path);
    return { body, headers: answer.headers };
  }
  const list = async (id: keyof typeof analytics.operations, path: string) =>
    (await get(id, path)).body as Record<string, unknown>[];

  it('has the figures of today', async () => {
    const { body } = await get('getDashboard', '/analytics/dashboard');
    assert.deepEqual(body, {
      ordersToday: 3,
      revenueToday: 1500.4,
      activeUsersToday: 4,
      averageOrderValue: 500.13,
      ordersByStatus: { PENDING: 1, CONFIRMED: 0, SHIPPED: 1, DELIVERED: 0, CANCELLED: 0 },
      updatedAt: new Date(now).toISOString(),
    });
  });

  it('reports the health of the service, as its own port does', async () => {
    let fault: string | undefined;
    health.addWork('inbox', () => {
      if (fault) throw new Error(fault);
    });
    const { body } = await get('getAnalyticsHealth', '/analytics/health');
    assert.deepEqual(body, { status: 'UP', service: 'analytics', checks: { inbox: { status: 'UP' } } });
    fault = 'no Kafka';
    const [own, answer] = await Promise.all([fetch(`${base}/health`), fetch(`${base}/analytics/health`)]);
    assert.deepEqual([answer.status, await answer.json()], [503, await own.json()]);
    fault = undefined;
  });

  it('has the windows of orders by status and by event type', async () => {
    const confirmed = await list('getOrderMetrics', '/analytics/orders/metrics/confirmed');
    assert.deepEqual(confirmed, [
      {
        query: 'orders-by-status',
        key: 'CONFIRMED',
        windowStart: new Date(now).toISOString(),
        windowEnd: new Date(now + 300_000).toISOString(),
        values: { orders: 1 },
        closed: false,
        updatedAt: confirmed[0]!['updatedAt'],
      },
    ]);
    const created = await list(
      'getOrderMetrics',
      '/analytics/orders/metrics/order.created?from=2026-01-01T10:00&to=2026-01-01T12:00',
    );
    assert.deepEqual(
      created.map(({ windowStart }) => windowStart),
      [new Date(now - hour).toISOString(), new Date(now - 2 * hour).toISOString()],
    );
    assert.deepEqual(await list('getOrderMetrics', '/analytics/orders/metrics/nothing'), []);
  });

  it("has a user's activity", async () => {
    const windows = await list('getUserActivity', '/analytics/users/002/activity');
    assert.deepEqual(
      windows.map(({ windowStart, values }) => [windowStart, values]),
      [
        [new Date(now).toISOString(), { events: 2 }],
        [new Date(now - hour).toISOString(), { events: 1 }],
      ],
    );
    assert.deepEqual(await list('getUserActivity', '/analytics/users/77/activity'), []);
    assert.equal((await fetch(`${base}/analytics/users/9223372036854775808/activity`)).status, 400);
  });

  it('has the users with the most revenue, of the last day or of any range', async () => {
    assert.deepEqual(await list('getTopUsers', '/analytics/users/top-performing?limit=1'), [
      { userId: 1, revenue: 1500.1 + 99.99, orders: 2 },
    ]);
    assert.deepEqual(await list('getTopUsers', `/analytics/users/top-performing?from=2026-01-01`), [
      { userId: 1, revenue: 1500.1, orders: 1 },
      { userId: 2, revenue: 0.3, orders: 2 },
    ]);
  });

  it('has revenue by hour, day, week and month', async () => {
    const hourly = await list('getRevenue', '/analytics/revenue/hourly?limit=2');
    assert.deepEqual(
      hourly.map(({ periodStart, periodEnd, revenue }) => [periodStart, periodEnd, revenue]),
      [
        ['2026-01-01T12:00:00.000Z', '2026-01-01T13:00:00.000Z', 0.1],
        ['2026-01-01T11:00:00.000Z', '2026-01-01T12:00:00.000Z', 0.2],
      ],
    );
    assert.deepEqual(await list('getRevenue', '/analytics/revenue/daily?to=2026-01-01'), [
      {
        periodStart: '2025-12-31T00:00:00.000Z',
        periodEnd: '2026-01-01T00:00:00.000Z',
        revenue: 99.99,
        orders: 1,
        averageOrderValue: 99.99,
      },
    ]);
    assert.deepEqual(await list('getRevenue', '/analytics/revenue/weekly'), [
      {
        periodStart: '2025-12-29T00:00:00.000Z',
        periodEnd: '2026-01-05T00:00:00.000Z',
        revenue: 1600.39,
        orders: 4,
        averageOrderValue: 400.1,
      },
    ]);
    const monthly = await list('getRevenue', '/analytics/revenue/monthly');
    assert.deepEqual(
      monthly.map(({ periodEnd, orders: count }) => [periodEnd, count]),
      [
        ['2026-02-01T00:00:00.000Z', 3],
        ['2026-01-01T00:00:00.000Z', 1],
      ],
    );
    assert.equal((await fetch(`${base}/analytics/revenue/yearly`)).status, 400);
  });

  it('has the alerts, newest first, page by page', async () => {
    const [alert, ...others] = await list('listAlerts', '/analytics/alerts?type=high-value-order&severity=info');
    assert.deepEqual(others, []);
    const { id, createdAt } = alert!;
    assert.deepEqual(alert, {
      id,
      type: 'high-value-order',
      severity: 'info',
      message: 'Order 2 is worth 1500.10, more than 1000',
      key: '2',
      windowStart: null,
      windowEnd: null,
      value: 1500.1,
      threshold: 1000,
      createdAt,
    });
    const { headers } = await get('listAlerts', '/analytics/alerts?limit=1');
    assert.equal(headers.get('link'), null);
    assert.deepEqual(await list('listAlerts', '/analytics/alerts?severity=critical'), []);
    assert.deepEqual(await list('listAlerts', '/analytics/alerts?cursor=1'), []);
    assert.equal((await fetch(`${base}/analytics/alerts?severity=loud`)).status, 400);
  });

  it('has the windows of any query, and 404 for an unknown query', async () => {
    const windows = await list('getQueryWindows', '/analytics/queries/revenue-by-user/windows?key=1&limit=1');
    assert.deepEqual(
      windows.map(({ key, values }) => [key, values]),
      [['1', { revenue: 1500.1, orders: 1 }]],
    );
    assert.deepEqual(await list('getQueryWindows', '/analytics/queries/high-value-order/windows'), []);
    const missing = await fetch(`${base}/analytics/queries/nothing/windows`);
    assert.equal(missing.status, 404);
    assert.equal(missing.headers.get('content-type'), 'application/problem+json; charset=utf-8');
    assert.equal((await fetch(`${base}/analytics/queries/revenue/windows?from=yesterday`)).status, 400);
    assert.equal((await fetch(`${base}/analytics/queries/revenue/windows?key=%00`)).status, 200);
  });

  it('reports the status of each query', async () => {
    const revenue = streamQueryFiles().find(({ file }) => basename(file) === 'revenue.yaml');
    const streams = await list('getStreamsStatus', '/analytics/streams/status');
    assert.equal(streams.length, 14);
    assert.deepEqual(
      streams.find(({ query }) => query === 'revenue'),
      {
        query: 'revenue',
        version: 1,
        definition: createHash('sha256').update(revenue!.text).digest('hex'),
        state: 'Running',
        sources: ['order-events'],
        window: 'tumbling 10m',
        lag: 3,
        watermark: new Date(now).toISOString(),
        eventsPerSecond: 0,
        lateEvents: 0,
        failedEvents: 0,
      },
    );
  });

  it('has the summary', async () => {
    const { body } = await get('getSummary', '/analytics/summary');
    const { dashboard, alerts, streams, topUsers } = body as Record<string, unknown[]> & {
      dashboard: { ordersToday: number };
    };
    assert.equal(dashboard.ordersToday, 3);
    assert.deepEqual([alerts?.length, streams?.length, topUsers?.length], [1, 14, 2]);
  });
});
