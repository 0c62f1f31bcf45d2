import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { hostname } from 'node:os';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { createPool } from '#platform/postgres';
import { startCuttingProxy } from '#platform/postgres/testing.ts';
import { createLogger, registry } from '#platform/telemetry';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { Deliveries } from './deliveries.ts';
import { reply, startTestSmtp } from '#test/smtp.ts';
import type { TestMail, TestSmtpOptions } from '#test/smtp.ts';
import { watchResources } from '#test/alive.ts';
import { eventually, untilPasses } from '#test/eventually.ts';
import { give, later, orderEvent, rows, settled, startSender, userDeletedEvent, userEvent } from './testing.ts';
import type { Row } from './testing.ts';

const addresses = (mails: TestMail[]) => mails.map((mail) => mail.to).toSorted();

describe('MailSender', () => {
  let database: TestDatabase;
  const cleanup: (() => Promise<void>)[] = [];

  before(async () => {
    database = await createTestDatabase('notifications');
  });
  after(() => database.drop());
  beforeEach(() => database.pool.query('TRUNCATE notifications, deliveries, recipients RESTART IDENTITY'));
  afterEach(async () => {
    for (const step of cleanup.splice(0).toReversed()) await step();
  });

  async function sink(options: TestSmtpOptions = {}) {
    const started = await startTestSmtp(options);
    cleanup.push(() => started.close());
    return started;
  }
  function sender(url: string, options: Parameters<typeof startSender>[2] = {}) {
    const started = startSender(database.pool, url, options);
    cleanup.push(() => started.stop());
    return started;
  }
  const only = async (): Promise<Row> => (await rows(database.pool))[0]!;

  it('sends pending mails to the present address, and records them', async () => {
    const { url, mails } = await sink();
    await give(database.pool, [userEvent(1), orderEvent(7, 1)]);
    sender(url);
    await settled(database.pool);
    assert.deepEqual(addresses(mails), ['user1@example.com', 'user1@example.com']);
    const letter = mails.find((mail) => mail.messageId === '<order-7-3@millrace.example>')!.message;
    assert.match(letter, /^To: "User1 Test" <user1@example\.com>\r$/m);
    assert.match(letter, /^Subject: Order 7 is on its way\r$/m);
    assert.match(letter, /\r\n\r\nHello User1,\r\n\r\nyour order 7 has left/);
    for (const row of await rows(database.pool)) {
      assert.deepEqual(
        { ...row, event_id: '', sent_at: row.sent_at instanceof Date },
        { event_id: '', status: 'SENT', attempts: 1, recipient: 'user1@example.com', last_error: null, sent_at: true },
      );
    }
  });

  it('sends each mail once if several senders share the work', async () => {
    const { url, mails } = await sink();
    await give(database.pool, [userEvent(1)]);
    await give(
      database.pool,
      Array.from({ length: 499 }, (_, i) => orderEvent(i + 1, 1)),
    );
    for (let i = 0; i < 3; i++) sender(url, { maxBatch: 20, concurrency: 3 });
    await settled(database.pool);
    assert.equal(mails.length, 500);
    assert.equal(new Set(mails.map((mail) => mail.messageId)).size, 500);
  });

  it('waits while the server is down without counting attempts, and continues when it is back', async () => {
    const { url, port, close } = await startTestSmtp();
    await close();
    await give(database.pool, [userEvent(1), orderEvent(1, 1)]);
    const waiting = sender(url);
    await eventually(async () => /millrace_smtp_up 0/.test(await registry.metrics()));
    waiting.check();
    let clock = later(20_000);
    assert.throws(() => waiting.check(), /no mail could be sent for \d\d s: the SMTP server cannot be used/);
    clock.mock.restore();
    assert.deepEqual(
      (await rows(database.pool)).map(({ status, attempts }) => ({ status, attempts })),
      [
        { status: 'PENDING', attempts: 0 },
        { status: 'PENDING', attempts: 0 },
      ],
    );
    const { mails } = await sink({ port });
    await settled(database.pool);
    assert.equal(mails.length, 2);
    assert.match(await registry.metrics(), /millrace_smtp_up 1/);
    assert.equal((await only()).attempts, 1);
    clock = later(20_000);
    await untilPasses(() => waiting.check());
    clock.mock.restore();
  });

  it('writes the results of sent mails when the database is back, and does not send them again', async () => {
    const proxy = await startCuttingProxy(database.url);
    const pool = createPool({ name: 'mails-cut', url: proxy.url, max: 2, log: createLogger('test', 'silent') });
    cleanup.push(
      () => proxy.close(),
      () => pool.end(),
    );
    const { url, mails } = await sink();
    await give(database.pool, [userEvent(1), orderEvent(1, 1)]);
    proxy.cutAt('settle-deliveries', 'statement-lost', 3);
    const started = startSender(pool, url);
    cleanup.push(() => started.stop());
    await settled(database.pool);
    assert.equal(proxy.cuts, 3);
    assert.equal(mails.length, 2);
    assert.deepEqual(
      (await rows(database.pool)).map(({ status }) => status),
      ['SENT', 'SENT'],
    );
  });

  it('gives up at once after a permanent refusal (5xx), and sends the other mails', async () => {
    const { url, mails } = await sink({
      onRecipient(address) {
        if (address === 'user1@example.com') throw reply(550, 'no such mailbox');
      },
    });
    await give(database.pool, [userEvent(1), userEvent(2), userEvent(3)]);
    sender(url, { concurrency: 1 });
    await settled(database.pool);
    assert.deepEqual(addresses(mails), ['user2@example.com', 'user3@example.com']);
    assert.deepEqual(
      (await rows(database.pool)).map((row) => row.status),
      ['FAILED', 'SENT', 'SENT'],
    );
  });

  it('keeps of the reply of a server what the database can store, in one line, and not more than 1,000 characters', async () => {
    const { url, mails } = await sink({
      onRecipient(address) {
        if (address === 'user1@example.com') throw reply(550, `no such\0user ${'x'.repeat(1_500)}`);
      },
    });
    await give(database.pool, [userEvent(1), userEvent(2), userEvent(3)]);
    sender(url, { concurrency: 1 });
    await settled(database.pool);
    assert.deepEqual(addresses(mails), ['user2@example.com', 'user3@example.com']);
    const { status, last_error } = await only();
    assert.equal(status, 'FAILED');
    assert.match(last_error!, /^550 no such user x+…$/);
    assert.equal(last_error!.length, 1_000);
  });

  for (const isAway of [false, true])
    it(`releases what was not tried, and writes all results it can, where the database ${isAway ? 'is away' : 'refuses one'}`, async (t) => {
      await database.pool.query(`ALTER TABLE notifications ADD CONSTRAINT refused CHECK (last_error NOT LIKE '%odd%')`);
      t.after(() => database.pool.query('ALTER TABLE notifications DROP CONSTRAINT refused'));
      const proxy = await startCuttingProxy(database.url);
      const pool = createPool({ name: 'mails-cut', url: proxy.url, max: 2, log: createLogger('test', 'silent') });
      cleanup.push(
        () => proxy.close(),
        () => pool.end(),
      );
      const stopped = Promise.withResolvers<void>();
      const { url } = await sink({
        onRecipient(address) {
          if (address !== 'user2@example.com') return;
          stopped.resolve(started.stop());
          throw reply(550, isAway ? 'gone' : 'odd');
        },
      });
      await give(database.pool, [userEvent(1), userEvent(2), userEvent(3), userEvent(4)]);
      if (isAway) proxy.cutAt('settle-deliveries', 'statement-lost');
      const started = startSender(pool, url, { concurrency: 1 });
      await stopped.promise;
      assert.deepEqual(
        (await rows(database.pool)).map(({ status }) => status),
        ['SENT', isAway ? 'FAILED' : 'PENDING', 'PENDING', 'PENDING'],
      );
      const { rows: free } = await database.pool.query<{ id: string }>(
        'SELECT notification_id AS id FROM deliveries WHERE claimed_until IS NULL ORDER BY notification_id',
      );
      assert.deepEqual(
        free.map(({ id }) => id),
        ['3', '4'],
      );
    });

  it('sends again with the same Message-ID if a sender died before it wrote the result', async () => {
    const { url, mails } = await sink();
    await give(database.pool, [userEvent(1), userEvent(2)]);
    const dead = new Deliveries(database.pool, { owner: 'elsewhere/1' });
    assert.equal((await dead.claim(1, 60_000)).length, 1);
    const other = sender(url);
    await eventually(() => mails.length === 1);
    await other.stop();
    assert.deepEqual(addresses(mails), ['user2@example.com'], 'a claim holds as long as its lease');

    await database.pool.query('UPDATE deliveries SET claimed_until = now()');
    sender(url);
    await settled(database.pool);
    assert.deepEqual(
      mails.map((mail) => mail.messageId),
      ['<user-2-1@millrace.example>', '<user-1-1@millrace.example>'],
    );
  });

  for (const how of ['answer-lost', 'statement-late'] as const)
    it(`sends the mails of a claim that nobody got: ${how}`, async () => {
      const { url, mails } = await sink();
      const proxy = await startCuttingProxy(database.url);
      const pool = createPool({ name: 'mails-cut', url: proxy.url, max: 2, log: createLogger('test', 'silent') });
      cleanup.push(
        () => proxy.close(),
        () => pool.end(),
      );
      await give(database.pool, [userEvent(1), userEvent(2)]);
      proxy.cutAt('claim-deliveries', how);
      const deliveries = new Deliveries(pool, { owner: 'elsewhere/1', rescanMs: 10 });
      const started = startSender(pool, url, { deliveries, pollMs: 10 });
      cleanup.push(() => started.stop());
      await eventually(() => proxy.cuts === 1, 'the connection is cut');
      await proxy.release();
      await settled(database.pool);
      assert.deepEqual(addresses(mails), ['user1@example.com', 'user2@example.com']);
    });

  it('sends the mails at once that a killed process of its host had claimed', async () => {
    const { url, mails } = await sink();
    await give(database.pool, [userEvent(1), userEvent(2), userEvent(3)]);
    const { pid } = spawnSync(process.execPath, ['--version']);
    for (const owner of [`${hostname()}/${pid}`, `${hostname()}/${process.pid}`, `${hostname()}/${process.ppid}`])
      await new Deliveries(database.pool, { owner }).claim(1, 60_000);
    const deliveries = new Deliveries(database.pool);
    const started = startSender(database.pool, url, { deliveries });
    cleanup.push(() => started.stop());
    await eventually(() => mails.length === 2, 'the mails');
    assert.deepEqual(
      addresses(mails),
      ['user1@example.com', 'user2@example.com'],
      'the third one is of a running process',
    );
  });

  it('finds notifications that became due earlier than claimed ones', async () => {
    const deliveries = new Deliveries(database.pool, { rescanMs: 0 });
    await give(database.pool, [userEvent(1)]);
    assert.equal((await deliveries.claim(10, 60_000)).length, 1);
    await give(database.pool, [userEvent(2)]);
    await database.pool.query(`UPDATE deliveries SET due_at = now() - interval '1 hour' WHERE claimed_until IS NULL`);
    assert.deepEqual(
      (await deliveries.claim(10, 60_000)).map((claim) => claim.eventId),
      ['user-2-1'],
    );
  });

  it('counts a mail once that two senders sent', async () => {
    await give(database.pool, [userEvent(1)]);
    const deliveries = new Deliveries(database.pool);
    const [claim] = await deliveries.claim(1, 0);
    const outcome = { id: claim!.id, recipient: 'user1@example.com', status: 'SENT' } as const;
    await deliveries.settle([outcome]);
    await deliveries.settle([{ ...outcome, status: 'FAILED', error: 'late' }]);
    const { status, attempts, last_error } = await only();
    assert.deepEqual({ status, attempts, last_error }, { status: 'SENT', attempts: 1, last_error: null });
  });

  it('waits for a recipient that is not known yet', async () => {
    const { url, mails } = await sink();
    await give(database.pool, [orderEvent(1, 9)]);
    sender(url);
    await eventually(async () => (await only()).last_error === 'the recipient is not known');
    await give(database.pool, [userEvent(9, 2)]);
    await settled(database.pool);
    assert.deepEqual(addresses(mails), ['user9@example.com']);
  });

  it('waits as long as it may for a recipient that is not known, and counts no attempt', async () => {
    const { url, mails } = await sink();
    await give(database.pool, [orderEvent(1, 9), orderEvent(2, 8)]);
    await database.pool.query(`UPDATE notifications SET created_at = now() - interval '2 hours', attempts = 11`);
    await database.pool.query(`UPDATE notifications SET created_at = now() - interval '73 hours' WHERE id = 2`);
    sender(url, { maxAgeMs: 72 * 3_600_000 });
    await eventually(async () => (await rows(database.pool)).every(({ last_error }) => last_error !== null));
    assert.deepEqual(
      (await rows(database.pool)).map(({ status, attempts, last_error }) => [status, attempts, last_error]),
      [
        ['PENDING', 11, 'the recipient is not known'],
        ['FAILED', 12, 'the recipient is not known'],
      ],
    );
    const { rows: waiting } = await database.pool.query(
      `SELECT due_at BETWEEN now() + interval '4 minutes' AND now() + interval '10 minutes' AS soon FROM deliveries`,
    );
    assert.deepEqual(waiting, [{ soon: true }]);
    await give(database.pool, [userEvent(9, 2)]);
    await database.pool.query('UPDATE deliveries SET due_at = now()');
    await settled(database.pool);
    assert.deepEqual(addresses(mails), ['user9@example.com']);
  });

  it('does not pause after a failure for mails that need no sending', async () => {
    const proxy = await startCuttingProxy(database.url);
    const pool = createPool({ name: 'mails-cut', url: proxy.url, max: 2, log: createLogger('test', 'silent') });
    cleanup.push(
      () => proxy.close(),
      () => pool.end(),
    );
    const { url, mails } = await sink();
    const deleted = Array.from({ length: 20 }, (_, i) => i + 1);
    await give(database.pool, [
      ...deleted.flatMap((id) => [userEvent(id), userDeletedEvent(id, 2)]),
      orderEvent(1, 99),
      userEvent(100),
    ]);
    proxy.cutAt('claim-deliveries', 'statement-lost');
    const started = startSender(pool, url, { backoff: { firstMs: 3_600_000, maxMs: 3_600_000 } });
    cleanup.push(() => started.stop());
    await eventually(() => mails.length === 1, 'the mail behind those that need no sending');
    assert.equal(proxy.cuts, 1);
  });

  it('sends nothing to a deleted user', async () => {
    const { url, mails } = await sink();
    await give(database.pool, [userEvent(1), orderEvent(1, 1), userDeletedEvent(1, 2)]);
    sender(url);
    await settled(database.pool);
    assert.equal(mails.length, 0);
    for (const row of await rows(database.pool)) {
      assert.deepEqual([row.status, row.recipient, row.last_error], ['FAILED', null, 'the user was deleted']);
    }
  });

  it('adds no header and no recipient from a name', async () => {
    const { url, mails } = await sink();
    const name = 'Eve\r\nBcc: all@example.com\r\n\r\nYou have won';
    await give(database.pool, [userEvent(1, 1, name)]);
    const evil = userEvent(2);
    Object.assign(evil.data as object, { email: 'eve@example.com>\r\nRCPT TO:<all@example.com' });
    await give(database.pool, [evil]);
    sender(url);
    await settled(database.pool);
    assert.equal(mails.length, 1);
    const head = mails[0]!.message.split('\r\n\r\n')[0]!;
    assert.doesNotMatch(head, /^Bcc/m);
    assert.match(head, /^To: "Eve Bcc: all@example\.com You have won Test" <user1@example\.com>\r$/m);
    assert.equal((await rows(database.pool))[1]?.last_error, 'the address cannot be used for e-mail');
  });

  it('wakes at once, and finishes current mails when it stops', async () => {
    const arrival = Promise.withResolvers<void>();
    const acknowledgement = Promise.withResolvers<void>();
    const { url } = await sink({
      async onMessage() {
        arrival.resolve();
        await acknowledgement.promise;
      },
    });
    const slow = sender(url, { pollMs: 3_600_000, concurrency: 1 });
    await give(database.pool, [userEvent(1), userEvent(2)]);
    slow.wake();
    await arrival.promise;
    const stopped = slow.stop();
    acknowledgement.resolve();
    await stopped;
    assert.deepEqual(
      (await rows(database.pool)).map((row) => row.status),
      ['SENT', 'PENDING'],
    );
    const { rows: claims } = await database.pool.query('SELECT claimed_until FROM deliveries');
    assert.deepEqual(claims, [{ claimed_until: null }], 'mails that were not started are free for others');
  });

  it('leaves no timer and no connection behind when it stops, at work or at rest', async () => {
    const left = watchResources();
    const { url, close } = await startTestSmtp();
    for (const isAtWork of [true, false]) {
      await give(database.pool, [userEvent(1), userEvent(2)]);
      const started = startSender(database.pool, url);
      if (!isAtWork) await settled(database.pool);
      await started.stop();
    }
    await close();
    assert.deepEqual(
      left().filter(({ kind }) => kind !== 'connection'),
      [],
    );
    const port = new RegExp(`:${new URL(url).port}\\b`);
    await eventually(() => !left().some(({ text }) => port.test(text)), 'its connections are closed');
  });

  it('reports the number and age of waiting mails', async () => {
    const deliveries = new Deliveries(database.pool);
    assert.deepEqual(await deliveries.backlog(), { pending: 0, oldestSeconds: 0 });
    await give(database.pool, [userEvent(1), userEvent(2)]);
    await database.pool.query(`UPDATE notifications SET created_at = now() - interval '1 hour' WHERE id = 1`);
    const { pending, oldestSeconds } = await deliveries.backlog();
    assert.equal(pending, 2);
    // the column keeps milliseconds, so that the age of the row can be half a millisecond too low
    assert.ok(oldestSeconds > 3_599.999 && oldestSeconds < 3_660, `${oldestSeconds} s`);
    await database.pool.query('DELETE FROM recipients WHERE user_id = 1');
    assert.ok(
      (await deliveries.backlog()).oldestSeconds < 60,
      'one whose recipient is not known does not wait for the server',
    );
  });
});
