import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { notifications } from '#contracts/notifications.ts';
import type { Notification } from '#contracts/notifications.ts';
import { Health } from '#platform/health';
import { createHttp } from '#platform/http';
import type { HttpService } from '#platform/http';
import { createLogger } from '#platform/telemetry';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { Archive } from './archive.ts';
import { createHandlers } from './handlers.ts';
import { give, orderEvent, userEvent } from './testing.ts';

describe('notifications over HTTP', () => {
  let database: TestDatabase;
  let archive: Archive;
  let http: HttpService;
  let origin: string;

  before(async () => {
    database = await createTestDatabase('notifications');
    archive = new Archive(database.pool);
    const log = createLogger('notifications', 'silent');
    const handlers = createHandlers(archive);
    http = createHttp({ contract: notifications, handlers, health: new Health(), log });
    origin = `http://127.0.0.1:${await http.listen(0, '127.0.0.1')}`;
    await give(database.pool, [userEvent(1), orderEvent(1, 1), userEvent(2), orderEvent(2, 1), orderEvent(3, 2)]);
    await database.pool.query(
      `UPDATE notifications SET status = 'SENT', attempts = 1, recipient = 'user1@example.com',
         sent_at = '2026-01-01T10:00:00.5Z' WHERE id = 1`,
    );
  });
  after(async () => {
    await http.close();
    await archive.close();
    await database.drop();
  });

  async function get(path: string): Promise<{ status: number; link: string | null; body: Notification }> {
    const response = await fetch(origin + path);
    const body = (await response.json()) as Notification;
    return { status: response.status, link: response.headers.get('link'), body };
  }

  async function list(path: string): Promise<{ link: string | null; body: Notification[] }> {
    const { link, body } = await get(path);
    return { link, body: body as unknown as Notification[] };
  }

  it('sends one only to a client that does not have it', async () => {
    const tag = (await fetch(`${origin}/notifications/1`)).headers.get('etag')!;
    const status = async (id: number) =>
      (await fetch(`${origin}/notifications/${id}`, { headers: { 'if-none-match': tag } })).status;
    assert.deepEqual([await status(1), await status(2)], [304, 200]);
  });

  it('shows one', async () => {
    const { status, body } = await get('/notifications/1');
    assert.equal(status, 200);
    const { createdAt, ...rest } = body;
    assert.ok(Math.abs(Date.parse(createdAt) - Date.now()) < 60_000);
    assert.deepEqual(rest, {
      id: 1,
      userId: 1,
      eventId: 'user-1-1',
      type: 'user.created',
      channel: 'EMAIL',
      recipient: 'user1@example.com',
      subject: 'Welcome to Millrace',
      body: 'your account is ready. From now on we will write to this address about your orders.',
      status: 'SENT',
      attempts: 1,
      sentAt: '2026-01-01T10:00:00.500Z',
    });
    const { body: pending } = await get('/notifications/2');
    assert.deepEqual([pending.status, pending.recipient, pending.sentAt], ['PENDING', null, null]);
  });

  it('lists them in pages, newest first', async () => {
    const pages: number[][] = [];
    let next: string | undefined = '/notifications?limit=2';
    while (next) {
      const { link, body }: { link: string | null; body: Notification[] } = await list(next);
      pages.push(body.map((notification) => notification.id));
      next = /^<([^>]+)>; rel="next"$/.exec(link ?? '')?.[1];
    }
    assert.deepEqual(pages, [[5, 4], [3, 2], [1]]);
    assert.equal((await list('/notifications')).body.length, 5);
  });

  it("lists a user's", async () => {
    const first = await list('/notifications/user/1?limit=2');
    assert.deepEqual(
      first.body.map((notification) => notification.eventId),
      ['order-2-3', 'order-1-3'],
    );
    assert.equal(first.link, '</notifications/user/1?limit=2&cursor=2>; rel="next"');
    assert.deepEqual((await list('/notifications/user/9223372036854775807')).body, []);
  });

  it('answers 404 for unknown ids and 400 for invalid ones', async () => {
    assert.equal((await get('/notifications/9223372036854775807')).status, 404);
    assert.equal((await get('/notifications/9223372036854775808')).status, 400);
    assert.equal((await get('/notifications/user/x')).status, 400);
    assert.equal((await get('/notifications?limit=0')).status, 400);
    assert.equal((await get('/notifications?limit=1001')).status, 400);
    assert.equal((await get('/notifications?cursor=-1')).status, 400);
  });
});
