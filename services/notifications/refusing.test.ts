import assert from 'node:assert/strict';
import { describe, it, mock } from 'node:test';
import { registry } from '#platform/telemetry';
import { eventually, untilPasses } from '#test/eventually.ts';
import { reply, startTestSmtp } from '#test/smtp.ts';
import type { TestSmtpOptions } from '#test/smtp.ts';
import { Deliveries } from './deliveries.ts';
import { give, hurry, later, mailStand, rows, settled, userDeletedEvent, userEvent } from './testing.ts';

const refuse = (...args: Parameters<typeof reply>) => {
  throw reply(...args);
};

describe('MailSender, where the server refuses mails', () => {
  const stand = mailStand();
  const { cleanup, sink, sender, first } = stand;
  const states = async () => (await rows(stand.database.pool)).map(({ status, attempts }) => `${status} ${attempts}`);

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
      /the server takes no mail: the connection was lost$/,
      (tried, cut) => ({ onMessage: () => (tried(), cut(), refuse(451, 'not heard')) }),
    ],
    [
      'does not relay for this client',
      /the server takes no mail: SMTP 554 5\.7\.1$/,
      (tried) => ({ onRecipient: () => (tried(), refuse(554, '5.7.1 Relay access denied')) }),
    ],
    [
      'wants a login',
      /the server wants a login: SMTP 530 5\.7\.0$/,
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
      assert.deepEqual(await states(), ['PENDING 0', 'PENDING 0']);
      let clock = later(20_000);
      const rounds = claims.callCount() + 3;
      await eventually(() => claims.callCount() > rounds, 'rounds at that time, also such with nothing due');
      assert.throws(() => waiting.check(), reason);
      clock.mock.restore();
      assert.match(await registry.metrics(), /millrace_smtp_up 0/);

      await broken.close();
      await sink({ port: broken.port });
      await untilPasses(async () => {
        await hurry(stand.database.pool);
        assert.deepEqual(await states(), ['SENT 1', 'SENT 1']);
      });
      clock = later(20_000);
      await untilPasses(() => waiting.check());
      clock.mock.restore();
      assert.match(await registry.metrics(), /millrace_smtp_up 1/);
    });

  for (const text of ['mailbox full', '5.7.1 Not for this list'])
    it(`gives up one mail after its attempts while it sends others, and stays green: ${text}`, async () => {
      const { url, mails } = await sink({
        onRecipient: (address) => address === 'user1@example.com' && refuse(text.startsWith('5') ? 550 : 452, text),
      });
      const started = sender(url);
      for (let attempts = 1; attempts <= 12; attempts++) {
        await give(stand.database.pool, [userEvent(attempts), userEvent(attempts + 100)]);
        await hurry(stand.database.pool);
        await eventually(async () => (await first()).attempts === attempts, `attempt ${attempts}`);
      }
      const { status, last_error } = await first();
      assert.equal(status, 'FAILED');
      assert.ok(last_error!.includes(text), last_error!);
      await settled(stand.database.pool);
      assert.equal(mails.length, 23);
      const clock = later(20_000);
      await untilPasses(() => started.check());
      clock.mock.restore();
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
    const clock = later(20_000);
    await untilPasses(() => started.check());
    clock.mock.restore();
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
    let clock = later(20_000);
    assert.throws(() => started.check(), /the server takes no mail: SMTP 451$/);
    clock.mock.restore();
    await give(stand.database.pool, [userDeletedEvent(1, 2), userDeletedEvent(2, 2)]);
    await hurry(stand.database.pool);
    await settled(stand.database.pool);
    clock = later(20_000);
    await untilPasses(() => started.check());
    clock.mock.restore();
  });
});
