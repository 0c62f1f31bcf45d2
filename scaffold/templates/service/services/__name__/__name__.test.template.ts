import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { __camel__ } from '#contracts/__name__.ts';
import type { __Entity__ } from '#contracts/__name__.ts';
import { Health } from '#platform/health';
import { createHttp } from '#platform/http';
import type { HttpService } from '#platform/http';
import { readOutbox } from '#platform/outbox/testing.ts';
import { createLogger } from '#platform/telemetry';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { createHandlers } from './handlers.ts';
import { __Entity__Store } from './store.ts';

describe('__name__', () => {
  let database: TestDatabase;
  let http: HttpService;
  let origin: string;
  let wakes = 0;

  before(async () => {
    database = await createTestDatabase('__name__');
    const handlers = createHandlers(new __Entity__Store(database.pool), () => wakes++);
    http = createHttp({ contract: __camel__, handlers, health: new Health(), log: createLogger('__name__', 'silent') });
    origin = `http://127.0.0.1:${await http.listen(0, '127.0.0.1')}`;
  });
  after(async () => {
    await http.close();
    await database.drop();
  });

  const post = (body: unknown) =>
    fetch(`${origin}/__name__`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });

  it('creates one, leaves its event in the outbox, and shows it', async () => {
    const answer = await post({ name: 'first' });
    assert.equal(answer.status, 201);
    assert.equal(answer.headers.get('location'), '/__name__/1');
    const created = (await answer.json()) as __Entity__;
    assert.deepEqual(created, { id: 1, name: 'first', createdAt: created.createdAt });
    assert.equal(wakes, 1);
    const [event] = await readOutbox(database.pool);
    assert.deepEqual(
      { topic: event?.topic, key: event?.key, type: event?.type, data: event?.data },
      {
        topic: '__topic__',
        key: '1',
        type: '__entity__.created',
        data: { __entityCamel__Id: 1, name: 'first', createdAt: created.createdAt },
      },
    );
    assert.deepEqual(await (await fetch(`${origin}/__name__/1`)).json(), created);
  });

  it('lists them in pages', async () => {
    await post({ name: 'second' });
    const first = await fetch(`${origin}/__name__?limit=1`);
    assert.equal(((await first.json()) as __Entity__[])[0]?.name, 'first');
    assert.equal(first.headers.get('link'), '</__name__?limit=1&cursor=1>; rel="next"');
    const second = await fetch(`${origin}/__name__?limit=1&cursor=1`);
    assert.equal(((await second.json()) as __Entity__[])[0]?.name, 'second');
    assert.equal(second.headers.get('link'), null);
  });

  it('refuses a body that violates the contract, and answers 404 for an unknown id', async () => {
    assert.equal((await post({ name: '' })).status, 400);
    assert.equal((await post({ name: 'x', colour: 'red' })).status, 400);
    assert.equal((await fetch(`${origin}/__name__/999`)).status, 404);
  });
});
