import assert from 'node:assert/strict';
import { describe, it, mock } from 'node:test';
import { registry } from '#platform/telemetry';
import { eventually, untilPasses } from '#test/eventually.ts';
import { reply, startTestSmtp } from '#test/smtp.ts';
import type { TestSmtpOptions } from '#test/smtp.ts';
import { Deliveries } from './deliveries.ts';
import { give, hurry, later, mailStand, orderEvent, rows, settled, userDeletedEvent, userEvent } from './testing.ts';

const refuse = (...args: Parameters<typeof reply>) => {
  throw reply(...args);
};

describe('MailSender, where the server refuses mails', () => {
  const stand = mailStand();
  const { cleanup, sink, sender, first } = stand;
  const states = async () => (await rows(stand.database.pool)).map(({ status, attempts }) => `${status} ${attempts}`);

  /** Expects health to be UP, also in a while. */
  async function staysGreen({ check }: { check: () => void }): Promise<void> {
    const clock = later(20_000);
    await untilPasses(check);
    clock.mock.restore();
  }

  type Refusing = (tried: () => void, cut: () => void) => TestSmtpOptions;
  const faults: [name: string, reason: RegExp, options: Refusing][] = [
    [
      'refuses each recipient for a time',
      /the server takes no mail: SMTP 451$/,
      (tried) => ({ onRecipient: () => (tried(), refuse(451, 'no room')) }),
    ],
    [
      'refuses each message for a time',
      /the server takes no mail: SMTP 452 4\.3\.1$/,
      (tried) => ({ onMessage: () => (tried(), refuse(452, '4.3.1 disk full, user1@example.com')) }),
    ],
    [
      'cuts the connection in each message',
      // or the other mail's, which was about to be offered
      /(the server takes no mail: the connection was lost|the SMTP server cannot be used: Connection closed unexpectedly)$/,
      (tried, cut) => ({ onMessage: () => (tried(), cut(), refuse(451, 'not heard')) }),
    ],
    [
      'does not relay for this client',
      /the server takes no mail: SMTP 554 5\.7\.1$/,
      (tried) => ({ onRecipient: () => (tried(), refuse(554, '5.7.1 Relay access denied')) }),
    ],
    [
      'does not relay for this client, and has no enhanced codes',
      /the server takes no mail: SMTP 550$/,
      (tried) => ({ onRecipient: () => (tried(), refuse(550, 'relay not permitted')) }),
    ],
    [
      'wants a login',
      /the server takes no mail: SMTP 530 5\.7\.0$/,
      (tried) => ({ onRecipient: () => (tried(), refuse(530, '5.7.0 Authentication required')) }),
    ],
  ];
  for (const [name, reason, refusing] of faults)
    it(`keeps all mails, says so, and sends them afterwards if it ${name}`, async () => {
      let tries = 0;
      const broken = await startTestSmtp(
        refusing(
          () => tries++,
          () => broken.cut(),
        ),
      );
      cleanup.push(() => broken.close());
      await give(stand.database.pool, [userEvent(1), userEvent(2)]);
      const deliveries = new Deliveries(stand.database.pool);
      const { mock: claims } = mock.method(deliveries, 'claim');
      const waiting = sender(broken.url, { deliveries });
      await eventually(async () => {
        await hurry(stand.database.pool);
        return tries > 4;
      }, 'several attempts of each mail');
      // each attempt of a mail that may have arrived counts
      const counted = (count: number) => (name === 'cuts the connection in each message' ? String.raw`\d+` : count);
      assert.match(String(await states()), new RegExp(`^PENDING ${counted(0)},PENDING ${counted(0)}$`));
      const clock = later(20_000);
      const rounds = claims.callCount() + 3;
      await eventually(() => claims.callCount() > rounds, 'rounds at that time, also such with nothing due');
      assert.throws(() => waiting.check(), reason);
      clock.mock.restore();
      assert.match(await registry.metrics(), /millrace_smtp_up 0/);

      await broken.close();
      await sink({ port: broken.port });
      await untilPasses(async () => {
        await hurry(stand.database.pool);
        assert.match(String(await states()), new RegExp(`^SENT ${counted(1)},SENT ${counted(1)}$`));
      });
      await staysGreen(waiting);
      assert.match(await registry.metrics(), /millrace_smtp_up 1/);
    });

  for (const [code, text] of [
    [452, 'mailbox full'],
    [550, '5.7.1 Not for this list'],
    [550, 'no such mailbox'],
  ] as const)
    it(`gives up one mail after its attempts while it sends others, and stays green: ${code} ${text}`, async () => {
      const { url, mails } = await sink({
        onRecipient: (address) => address === 'user1@example.com' && refuse(code, text),
      });
      const started = sender(url);
      for (const attempts of [1, 2, 78, 79, 80]) {
        await stand.database.pool.query('UPDATE notifications SET attempts = $1 WHERE user_id = 1', [attempts - 1]);
        await give(stand.database.pool, [userEvent(attempts), userEvent(attempts + 100)]);
        await hurry(stand.database.pool);
        await eventually(async () => (await first()).attempts === attempts, `attempt ${attempts}`);
      }
      const { status, last_error } = await first();
      assert.equal(status, 'FAILED');
      assert.ok(last_error!.includes(text), last_error!);
      await settled(stand.database.pool);
      assert.equal(mails.length, 9);
      await staysGreen(started);
    });

  it('sends the mails behind one that it wants a login for', async () => {
    const { url } = await sink({
      onRecipient: (address) => address === 'user1@example.com' && refuse(530, '5.7.0 Authentication required'),
    });
    await give(stand.database.pool, [userEvent(1), userEvent(2), userEvent(3)]);
    sender(url, { concurrency: 1 });
    await untilPasses(async () => assert.deepEqual(await states(), ['PENDING 1', 'SENT 1', 'SENT 1']));
  });

  it('is green while one recipient is refused, and there are no other mails', async () => {
    let tries = 0;
    const { url } = await sink({ onRecipient: () => (tries++, refuse(452, '4.2.2 mailbox full')) });
    await give(stand.database.pool, [userEvent(1), orderEvent(7, 1)]);
    const started = sender(url);
    await eventually(async () => {
      await hurry(stand.database.pool);
      return tries > 4;
    });
    await staysGreen(started);
    assert.deepEqual(await states(), ['PENDING 0', 'PENDING 0']);
  });

  it('gives up mails that may have arrived after 17 copies, and says so, also if the server takes none', async () => {
    const broken = await sink({ onMessage: () => (broken.cut(), refuse(451, 'not heard')) });
    await give(stand.database.pool, [userEvent(1), userEvent(2)]);
    // those that counted before, as of a server that took others meanwhile, are no copies
    await stand.database.pool.query('UPDATE notifications SET attempts = 60; UPDATE deliveries SET copies = 15');
    sender(broken.url, { concurrency: 1 });
    await untilPasses(async () => {
      await hurry(stand.database.pool);
      assert.deepEqual(await states(), ['FAILED 62', 'FAILED 62']);
    });
    assert.match((await first()).last_error!, /; it may have arrived$/);
  });

  it('is red after a restart if the server refuses all mails, whatever was counted before', async () => {
    const { url } = await sink({ onRecipient: () => refuse(451, 'no room') });
    await give(stand.database.pool, [userEvent(1), userEvent(2)]);
    await stand.database.pool.query('UPDATE notifications SET attempts = 10 + id');
    const started = sender(url);
    const clock = later(20_000);
    await untilPasses(() => assert.throws(() => started.check(), /the server takes no mail: SMTP 451$/));
    clock.mock.restore();
    assert.deepEqual(await states(), ['PENDING 11', 'PENDING 12']);
  });

  it('sends mails with more attempts than they have now, or gives them up with the reason', async () => {
    const { url } = await sink({
      onRecipient: (address) => /user[12]@/.test(address) && refuse(452, 'mailbox full'),
    });
    await give(stand.database.pool, [userEvent(1), userEvent(2), userEvent(3), userEvent(4)]);
    await stand.database.pool.query('UPDATE notifications SET attempts = CASE WHEN id IN (1, 3) THEN 79 ELSE 90 END');
    sender(url);
    await settled(stand.database.pool);
    assert.deepEqual(await states(), ['FAILED 80', 'FAILED 91', 'SENT 80', 'SENT 91']);
    assert.match((await first()).last_error!, /mailbox full/);
  });

  it('goes through a backlog whose mails are all refused once', async () => {
    const tried = new Set<string>();
    const { url } = await sink({
      onRecipient: (address) => !tried.has(address) && (tried.add(address), refuse(450, '4.2.0 greylisted')),
    });
    await give(
      stand.database.pool,
      Array.from({ length: 150 }, (_, i) => userEvent(i + 1)),
    );
    const deliveries = new Deliveries(stand.database.pool);
    const { mock: claims } = mock.method(deliveries, 'claim');
    sender(url, { deliveries, maxBatch: 60 });
    await eventually(() => tried.size === 150, 'an attempt of each mail');
    const limits = claims.calls.map((call) => call.arguments[0]);
    assert.ok(Math.min(...limits) >= 50, `batches of ${limits.join()}`);
  });

  it('is green while one recipient is refused shortly after others were sent, and counts that once', async () => {
    let tries = 0;
    const { url } = await sink({
      onRecipient: (address) => address === 'user1@example.com' && (tries++, refuse(450, '4.2.0 greylisted')),
    });
    await give(stand.database.pool, [userEvent(2)]);
    const started = sender(url);
    await settled(stand.database.pool);
    await give(stand.database.pool, [userEvent(1)]);
    await eventually(async () => {
      await hurry(stand.database.pool);
      return tries >= 14;
    });
    assert.deepEqual(await states(), ['SENT 1', 'PENDING 1']);
    await staysGreen(started);
  });

  it('tries the other mails, however many it refuses', async () => {
    const { url, mails } = await sink({
      onRecipient: (address) => address !== 'user50@example.com' && refuse(451, 'greylisted'),
    });
    await give(
      stand.database.pool,
      Array.from({ length: 50 }, (_, i) => userEvent(i + 1)),
    );
    sender(url, { maxBatch: 8, concurrency: 2 });
    await eventually(() => mails.length === 1, 'the mail behind 49 that are refused');
  });

  it('is green again when the refused mails are gone', async () => {
    const { url } = await sink({ onRecipient: () => refuse(451, 'no room') });
    await give(stand.database.pool, [userEvent(1), userEvent(2)]);
    const started = sender(url);
    await eventually(async () => (await rows(stand.database.pool)).every(({ last_error }) => last_error !== null));
    const clock = later(20_000);
    await untilPasses(() => assert.throws(() => started.check(), /the server takes no mail: SMTP 451$/));
    clock.mock.restore();
    assert.match(await registry.metrics(), /millrace_smtp_up 0/);
    await give(stand.database.pool, [userDeletedEvent(1, 2), userDeletedEvent(2, 2)]);
    await hurry(stand.database.pool);
    await settled(stand.database.pool);
    await staysGreen(started);
    assert.match(await registry.metrics(), /millrace_smtp_up 1/);
  });
});
