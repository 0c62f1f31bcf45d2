import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { NodeSDK } from '@opentelemetry/sdk-node';
import { attempt } from './attempt.ts';
import type { Claim } from './deliveries.ts';
import { SmtpClient } from './smtp.ts';
import { reply, startTestSmtp } from '#test/smtp.ts';

type Processor = NonNullable<NonNullable<ConstructorParameters<typeof NodeSDK>[0]>['spanProcessors']>[number];
type EndedSpan = Parameters<Processor['onEnd']>[0];

const claim: Claim = {
  id: '1',
  userId: '1',
  eventId: 'order-1-1',
  type: 'order.created',
  subject: 'Order 1 received',
  body: 'we have it.',
  attempts: 2,
  copies: 0,
  ageMs: 0,
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  known: true,
  email: 'ada@example.com',
  firstName: 'Ada',
  lastName: 'Lovelace',
};
const from = { name: 'Millrace', address: 'shop@millrace.example' };

describe('the span of an attempt', () => {
  const ended: EndedSpan[] = [];
  const keep: Processor = {
    onStart: () => undefined,
    onEnd: (span) => void ended.push(span),
    forceFlush: () => Promise.resolve(),
    shutdown: () => Promise.resolve(),
  };
  const sdk = new NodeSDK({ spanProcessors: [keep], instrumentations: [], metricReaders: [], logRecordProcessors: [] });

  before(() => sdk.start());
  after(() => sdk.shutdown());

  async function spansOf(claimed: Claim): Promise<EndedSpan[]> {
    ended.length = 0;
    const sink = await startTestSmtp({
      onRecipient(address) {
        if (address.startsWith('gone')) throw reply(550, `no such mailbox: ${address}`);
      },
    });
    const smtp = new SmtpClient({ url: sink.url });
    await attempt(smtp, from, claimed);
    smtp.close();
    await sink.close();
    return ended.slice();
  }

  it("is a child of the consumer's, and names no person", async () => {
    const [span, ...others] = await spansOf(claim);
    assert.deepEqual(others, []);
    assert.equal(span?.name, 'send e-mail');
    assert.equal(span.spanContext().traceId, '0af7651916cd43dd8448eb211c80319c');
    assert.equal(span.parentSpanContext?.spanId, 'b7ad6b7169203331');
    assert.equal(span.attributes['millrace.attempt'], 3);
    assert.doesNotMatch(JSON.stringify(span.attributes), /ada|lovelace/i);
  });

  it('reports a refusal of the server', async () => {
    const [span] = await spansOf({ ...claim, email: 'gone@example.com' });
    assert.equal(span?.status.code, 2);
    assert.equal(span.status.message, 'SMTP 550');
    assert.deepEqual(span.events, []);
  });

  it('does not exist if the trace is not recorded', async () => {
    assert.deepEqual(await spansOf({ ...claim, traceparent: claim.traceparent!.replace(/01$/, '00') }), []);
    assert.deepEqual(await spansOf({ ...claim, traceparent: null }), []);
  });
});
