import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { hostname } from 'node:os';
import { describe, it } from 'node:test';
import { isUnavailable } from '#platform/postgres';
import { createLogger, registry } from '#platform/telemetry';
import { Deliveries } from './deliveries.ts';
import { reply, startTestSmtp } from '#test/smtp.ts';
import type { TestMail } from '#test/smtp.ts';
import { watchResources } from '#test/alive.ts';
import { eventually, untilPasses } from '#test/eventually.ts';
import {
  give,
  later,
  mailStand,
  orderEvent,
  rows,
  settled,
  startSender,
  userDeletedEvent,
  userEvent,
} from './testing.ts';

const addresses = (mails: TestMail[]) => mails.map((mail) => mail.to).toSorted();

describe('MailSender', () => {
  const stand = mailStand();
  const { sink, sender, cuttingPool, first } = stand;

  it('sends pending mails to the present address, and records them', async () => {
    const { url, mails } = await sink();
    await give(stand.database.pool, [userEvent(1), orderEvent(7, 1)]);
    sender(url);
    await settled(stand.database.pool);
    assert.deepEqual(addresses(mails), ['user1@example.com', 'user1@example.com']);
    const letter = mails.find((mail) => mail.messageId === '<order-7-3@millrace.example>')!.message;
    assert.match(letter, /^To: "User1 Test" <user1@example\.com>\r$/m);
    assert.match(letter, /^Subject: Order 7 is on its way\r$/m);
    assert.match(letter, /\r\n\r\nHello User1,\r\n\r\nyour order 7 has left/);
    for (const row of await rows(stand.database.pool)) {
      assert.deepEqual(
        { ...row, event_id: '', sent_at: row.sent_at instanceof Date },
        { event_id: '', status: 'SENT', attempts: 1, recipient: 'user1@example.com', last_error: null, sent_at: true },
      );
    }
  });

  it('sends each mail once if several senders share the work', async () => {
    const { url, mails } = await sink();
    await give(stand.database.pool, [userEvent(1)]);
    await give(
      stand.database.pool,
      Array.from({ length: 499 }, (_, i) => orderEvent(i + 1, 1)),
    );
    for (let i = 0; i < 3; i++) sender(url, { maxBatch: 20, concurrency: 3 });
    await settled(stand.database.pool);
    assert.equal(mails.length, 500);
    assert.equal(new Set(mails.map((mail) => mail.messageId)).size, 500);
  });

  it('waits while the server is down without counting attempts, and continues when it is back', async () => {
    const { url, port, close } = await startTestSmtp();
    await close();
    await give(stand.database.pool, [userEvent(1), orderEvent(1, 1)]);
    const waiting = sender(url);
    await eventually(async () => /millrace_smtp_up 0/.test(await registry.metrics()));
    waiting.check();
    let clock = later(20_000);
    assert.throws(() => waiting.check(), /no mail could be sent for \d\d s: the SMTP server cannot be used/);
    clock.mock.restore();
    assert.deepEqual(
      (await rows(stand.database.pool)).map(({ status, attempts }) => ({ status, attempts })),
      [
        { status: 'PENDING', attempts: 0 },
        { status: 'PENDING', attempts: 0 },
      ],
    );
    const { mails } = await sink({ port });
    await settled(stand.database.pool);
    assert.equal(mails.length, 2);
    assert.match(await registry.metrics(), /millrace_smtp_up 1/);
    assert.equal((await first()).attempts, 1);
    clock = later(20_000);
    await untilPasses(() => waiting.check());
    clock.mock.restore();
  });

  it('writes the results of sent mails when the database is back, and does not send them again', async () => {
    const { proxy, pool } = await cuttingPool();
    const { url, mails } = await sink();
    await give(stand.database.pool, [userEvent(1), orderEvent(1, 1)]);
    proxy.cutAt('AS t (id, status, recipient', 'statement-lost', 3);
    sender(url, {}, pool);
    await settled(stand.database.pool);
    assert.equal(proxy.cuts, 3);
    assert.equal(mails.length, 2);
    assert.deepEqual(
      (await rows(stand.database.pool)).map(({ status }) => status),
      ['SENT', 'SENT'],
    );
  });

  it('gives up at once after a permanent refusal of the recipient, and sends the other mails', async () => {
    const { url, mails } = await sink({
      onRecipient(address) {
        if (address === 'user1@example.com') throw reply(550, '5.1.1 no such mailbox');
      },
    });
    await give(stand.database.pool, [userEvent(1), userEvent(2), userEvent(3)]);
    sender(url, { concurrency: 1 });
    await settled(stand.database.pool);
    assert.deepEqual(addresses(mails), ['user2@example.com', 'user3@example.com']);
    assert.deepEqual(
      (await rows(stand.database.pool)).map((row) => row.status),
      ['FAILED', 'SENT', 'SENT'],
    );
  });

  it('keeps of the reply of a server what the database can store, in one line, and not more than 1,000 characters', async () => {
    const { url, mails } = await sink({
      onRecipient(address) {
        if (address === 'user1@example.com') throw reply(550, `5.1.1 no such\0user ${'x'.repeat(1_500)}`);
      },
    });
    await give(stand.database.pool, [userEvent(1), userEvent(2), userEvent(3)]);
    sender(url, { concurrency: 1 });
    await settled(stand.database.pool);
    assert.deepEqual(addresses(mails), ['user2@example.com', 'user3@example.com']);
    const { status, last_error } = await first();
    assert.equal(status, 'FAILED');
    assert.match(last_error!, /^550 5\.1\.1 no such user x+…$/);
    assert.equal(last_error!.length, 1_000);
  });

  for (const isAway of [false, true])
    it(`releases what was not tried, and writes all results it can, where the database ${isAway ? 'is away' : 'refuses one'}`, async (t) => {
      await stand.database.pool.query(
        `ALTER TABLE notifications ADD CONSTRAINT refused CHECK (last_error NOT LIKE '%odd%')`,
      );
      t.after(() => stand.database.pool.query('ALTER TABLE notifications DROP CONSTRAINT refused'));
      const { proxy, pool } = await cuttingPool();
      const stopped = Promise.withResolvers<void>();
      const { url } = await sink({
        onRecipient(address) {
          if (address !== 'user2@example.com') return;
          stopped.resolve(started.stop());
          throw reply(550, `5.1.1 ${isAway ? 'gone' : 'odd'}`);
        },
      });
      await give(stand.database.pool, [userEvent(1), userEvent(2), userEvent(3), userEvent(4)]);
      if (isAway) proxy.cutAt('AS t (id, status, recipient', 'statement-lost');
      const started = startSender(pool, url, { concurrency: 1 });
      await stopped.promise;
      assert.deepEqual(
        (await rows(stand.database.pool)).map(({ status }) => status),
        ['SENT', isAway ? 'FAILED' : 'PENDING', 'PENDING', 'PENDING'],
      );
      const { rows: free } = await stand.database.pool.query<{ id: string }>(
        'SELECT notification_id AS id FROM deliveries WHERE claimed_until IS NULL ORDER BY notification_id',
      );
      assert.deepEqual(
        free.map(({ id }) => id),
        ['3', '4'],
      );
    });

  it('sends again with the same Message-ID if a sender died before it wrote the result', async () => {
    const { url, mails } = await sink();
    await give(stand.database.pool, [userEvent(1), userEvent(2)]);
    const dead = new Deliveries(stand.database.pool, { owner: 'elsewhere/1' });
    assert.equal((await dead.claim(1, 60_000)).length, 1);
    const other = sender(url);
    await eventually(() => mails.length === 1);
    await other.stop();
    assert.deepEqual(addresses(mails), ['user2@example.com'], 'a claim holds as long as its lease');

    await stand.database.pool.query('UPDATE deliveries SET claimed_until = now()');
    sender(url);
    await settled(stand.database.pool);
    assert.deepEqual(
      mails.map((mail) => mail.messageId),
      ['<user-2-1@millrace.example>', '<user-1-1@millrace.example>'],
    );
  });

  for (const how of ['answer-lost', 'statement-late'] as const)
    it(`sends the mails of a claim that nobody got: ${how}`, async () => {
      const { url, mails } = await sink();
      const { proxy, pool } = await cuttingPool();
      await give(stand.database.pool, [userEvent(1), userEvent(2)]);
      proxy.cutAt('AS "firstDue"', how);
      const deliveries = new Deliveries(pool, { owner: 'elsewhere/1', rescanMs: 10 });
      sender(url, { deliveries, pollMs: 10 }, pool);
      await eventually(() => proxy.cuts === 1, 'the connection is cut');
      await proxy.release();
      await settled(stand.database.pool);
      assert.deepEqual(addresses(mails), ['user1@example.com', 'user2@example.com']);
    });

  it('sends the mails at once that a killed process of its host had claimed', async () => {
    const { url, mails } = await sink();
    await give(stand.database.pool, [userEvent(1), userEvent(2), userEvent(3)]);
    const { pid } = spawnSync(process.execPath, ['--version']);
    for (const owner of [`${hostname()}/${pid}`, `${hostname()}/${process.pid}`, `${hostname()}/${process.ppid}`])
      await new Deliveries(stand.database.pool, { owner }).claim(1, 60_000);
    const deliveries = new Deliveries(stand.database.pool);
    sender(url, { deliveries });
    await eventually(() => mails.length === 2, 'the mails');
    assert.deepEqual(
      addresses(mails),
      ['user1@example.com', 'user2@example.com'],
      'the third one is of a running process',
    );
  });

  it('goes on while a session that hangs in the server holds the result of a mail, and writes it afterwards', async () => {
    const held = await stand.database.pool.connect();
    try {
      await held.query('SET idle_in_transaction_session_timeout = 0');
      const { url, mails } = await sink({
        async onMessage({ to }) {
          if (to !== 'user1@example.com') return;
          await held.query('BEGIN; SELECT FROM deliveries WHERE notification_id = 1 FOR UPDATE');
        },
      });
      await give(stand.database.pool, [userEvent(1), userEvent(2)]);
      const warnings: string[] = [];
      const log = createLogger('notifications', 'silent');
      log.warn = (...args: unknown[]) => void warnings.push(String(args.at(-1)));
      const going = sender(url, { concurrency: 1, log });
      await eventually(() => mails.length === 2, 'both mails are sent');
      await give(stand.database.pool, [userEvent(3)]);
      const statuses = async () => (await rows(stand.database.pool)).map(({ status }) => status).join(' ');
      await eventually(async () => (await statuses()) === 'PENDING SENT SENT', 'the others are written');
      going.check();
      const clock = later(20_000);
      await eventually(() => warnings.length > 0, 'the log says what waits');
      await untilPasses(() =>
        assert.throws(() => going.check(), {
          code: 'ERR_MAIL_NOT_RECORDED',
          message: /^the results of 1 mails wait for \d\d s: another session of PostgreSQL holds their rows$/,
        }),
      );
      clock.mock.restore();
      await held.query('ROLLBACK');
      await settled(stand.database.pool);
      const after = later(20_000);
      await untilPasses(() => going.check());
      after.mock.restore();
      assert.deepEqual(warnings, ['the results of mails wait: another session of PostgreSQL holds their rows']);
      assert.equal(await statuses(), 'SENT SENT SENT');
      assert.deepEqual(addresses(mails), ['user1@example.com', 'user2@example.com', 'user3@example.com']);
    } finally {
      held.release(true);
    }
  });

  it('claims on after a claim whose session hangs in the server, and claims nothing again whose result is not written', async () => {
    const { proxy, pool } = await cuttingPool();
    const deliveries = new Deliveries(pool, { owner: 'elsewhere/1', rescanMs: 0 });
    await give(stand.database.pool, [userEvent(1), userEvent(2), userEvent(3)]);
    assert.equal((await deliveries.claim(1, 60_000)).length, 1);
    proxy.cutAt('AS "firstDue"', 'answer-lost');
    await assert.rejects(deliveries.claim(1, 60_000), isUnavailable);
    const hanging = await stand.database.pool.connect();
    try {
      await hanging.query('BEGIN; SELECT FROM deliveries WHERE notification_id = 2 FOR UPDATE');
      const idsOf = async (...kept: string[]) => (await deliveries.claim(10, 60_000, kept)).map(({ id }) => id);
      assert.deepEqual(await idsOf('1'), ['3']);
      await hanging.query('ROLLBACK');
      assert.deepEqual(await idsOf('1', '3'), ['2'], 'the lost claim');
    } finally {
      hanging.release(true);
    }
  });

  it('claims nothing again whose result is not written, though its lease has ended', async () => {
    const deliveries = new Deliveries(stand.database.pool);
    await give(stand.database.pool, [userEvent(1), userEvent(2)]);
    const [kept] = await deliveries.claim(1, 60_000);
    await stand.database.pool.query(`UPDATE deliveries SET claimed_until = now() - interval '1 s'`);
    assert.deepEqual(
      (await deliveries.claim(10, 60_000, [kept!.id])).map(({ eventId }) => eventId),
      ['user-2-1'],
    );
  });

  it('finds notifications that became due earlier than claimed ones', async () => {
    const deliveries = new Deliveries(stand.database.pool, { rescanMs: 0 });
    await give(stand.database.pool, [userEvent(1)]);
    assert.equal((await deliveries.claim(10, 60_000)).length, 1);
    await give(stand.database.pool, [userEvent(2)]);
    await stand.database.pool.query(
      `UPDATE deliveries SET due_at = now() - interval '1 hour' WHERE claimed_until IS NULL`,
    );
    assert.deepEqual(
      (await deliveries.claim(10, 60_000)).map((claim) => claim.eventId),
      ['user-2-1'],
    );
  });

  it('counts a mail once that two senders sent', async () => {
    await give(stand.database.pool, [userEvent(1)]);
    const deliveries = new Deliveries(stand.database.pool);
    const [claim] = await deliveries.claim(1, 0);
    const outcome = { id: claim!.id, recipient: 'user1@example.com', status: 'SENT' } as const;
    await deliveries.settle([outcome]);
    await deliveries.settle([{ ...outcome, status: 'FAILED', error: 'late' }]);
    const { status, attempts, last_error } = await first();
    assert.deepEqual({ status, attempts, last_error }, { status: 'SENT', attempts: 1, last_error: null });
  });

  it('waits for a recipient that is not known yet', async () => {
    const { url, mails } = await sink();
    await give(stand.database.pool, [orderEvent(1, 9)]);
    sender(url);
    await eventually(async () => (await first()).last_error === 'the recipient is not known');
    await give(stand.database.pool, [userEvent(9, 2)]);
    await settled(stand.database.pool);
    assert.deepEqual(addresses(mails), ['user9@example.com']);
  });

  it('waits as long as it may for a recipient that is not known, and counts no attempt', async () => {
    const { url, mails } = await sink();
    await give(stand.database.pool, [orderEvent(1, 9), orderEvent(2, 8)]);
    await stand.database.pool.query(`UPDATE notifications SET created_at = now() - interval '2 hours', attempts = 11`);
    await stand.database.pool.query(`UPDATE notifications SET created_at = now() - interval '73 hours' WHERE id = 2`);
    sender(url, { maxAgeMs: 72 * 3_600_000 });
    await eventually(async () => (await rows(stand.database.pool)).every(({ last_error }) => last_error !== null));
    assert.deepEqual(
      (await rows(stand.database.pool)).map(({ status, attempts, last_error }) => [status, attempts, last_error]),
      [
        ['PENDING', 11, 'the recipient is not known'],
        ['FAILED', 12, 'the recipient is not known'],
      ],
    );
    const { rows: waiting } = await stand.database.pool.query(
      `SELECT due_at BETWEEN now() + interval '4 minutes' AND now() + interval '10 minutes' AS soon FROM deliveries`,
    );
    assert.deepEqual(waiting, [{ soon: true }]);
    await give(stand.database.pool, [userEvent(9, 2)]);
    await stand.database.pool.query('UPDATE deliveries SET due_at = now()');
    await settled(stand.database.pool);
    assert.deepEqual(addresses(mails), ['user9@example.com']);
  });

  it('does not pause after a failure for mails that need no sending', async () => {
    const { proxy, pool } = await cuttingPool();
    const { url, mails } = await sink();
    const deleted = Array.from({ length: 20 }, (_, i) => i + 1);
    await give(stand.database.pool, [
      ...deleted.flatMap((id) => [userEvent(id), userDeletedEvent(id, 2)]),
      orderEvent(1, 99),
      userEvent(100),
    ]);
    proxy.cutAt('AS "firstDue"', 'statement-lost');
    sender(url, { backoff: { firstMs: 3_600_000, maxMs: 3_600_000 } }, pool);
    await eventually(() => mails.length === 1, 'the mail behind those that need no sending');
    assert.equal(proxy.cuts, 1);
  });

  it('sends nothing to a deleted user', async () => {
    const { url, mails } = await sink();
    await give(stand.database.pool, [userEvent(1), orderEvent(1, 1), userDeletedEvent(1, 2)]);
    sender(url);
    await settled(stand.database.pool);
    assert.equal(mails.length, 0);
    for (const row of await rows(stand.database.pool)) {
      assert.deepEqual([row.status, row.recipient, row.last_error], ['FAILED', null, 'the user was deleted']);
    }
  });

  it('adds no header and no recipient from a name', async () => {
    const { url, mails } = await sink();
    const name = 'Eve\r\nBcc: all@example.com\r\n\r\nYou have won';
    await give(stand.database.pool, [userEvent(1, 1, name)]);
    const evil = userEvent(2);
    Object.assign(evil.data as object, { email: 'eve@example.com>\r\nRCPT TO:<all@example.com' });
    await give(stand.database.pool, [evil]);
    sender(url);
    await settled(stand.database.pool);
    assert.equal(mails.length, 1);
    const head = mails[0]!.message.split('\r\n\r\n')[0]!;
    assert.doesNotMatch(head, /^Bcc/m);
    assert.match(head, /^To: "Eve Bcc: all@example\.com You have won Test" <user1@example\.com>\r$/m);
    assert.equal((await rows(stand.database.pool))[1]?.last_error, 'the address cannot be used for e-mail');
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
    await give(stand.database.pool, [userEvent(1), userEvent(2)]);
    slow.wake();
    await arrival.promise;
    const stopped = slow.stop();
    acknowledgement.resolve();
    await stopped;
    assert.deepEqual(
      (await rows(stand.database.pool)).map((row) => row.status),
      ['SENT', 'PENDING'],
    );
    const { rows: claims } = await stand.database.pool.query('SELECT claimed_until FROM deliveries');
    assert.deepEqual(claims, [{ claimed_until: null }], 'mails that were not started are free for others');
  });

  it('leaves no timer and no connection behind when it stops, at work or at rest', async () => {
    const left = watchResources();
    const { url, close } = await startTestSmtp();
    for (const isAtWork of [true, false]) {
      await give(stand.database.pool, [userEvent(1), userEvent(2)]);
      const started = startSender(stand.database.pool, url);
      if (!isAtWork) await settled(stand.database.pool);
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
    const deliveries = new Deliveries(stand.database.pool);
    assert.deepEqual(await deliveries.backlog(), { pending: 0, oldestSeconds: 0 });
    await give(stand.database.pool, [userEvent(1), userEvent(2)]);
    await stand.database.pool.query(`UPDATE notifications SET created_at = now() - interval '1 hour' WHERE id = 1`);
    const { pending, oldestSeconds } = await deliveries.backlog();
    assert.equal(pending, 2);
    // the column keeps milliseconds, so that the age of the row can be half a millisecond too low
    assert.ok(oldestSeconds > 3_599.999 && oldestSeconds < 3_660, `${oldestSeconds} s`);
    await stand.database.pool.query('DELETE FROM recipients WHERE user_id = 1');
    assert.ok(
      (await deliveries.backlog()).oldestSeconds < 60,
      'one whose recipient is not known does not wait for the server',
    );
  });
});
