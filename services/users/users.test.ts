import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, beforeEach, describe, it } from 'node:test';
import { users } from '#contracts/users.ts';
import type { User } from '#contracts/users.ts';
import { Health } from '#platform/health';
import { createHttp } from '#platform/http';
import type { HttpService } from '#platform/http';
import { createLogger } from '#platform/telemetry';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { createHandlers } from './handlers.ts';
import { UserStore } from './store.ts';

interface Problem {
  title: string;
  detail: string;
  errors?: { field: string; message: string }[];
}

const ada = { username: 'ada', email: 'ada@example.com', firstName: 'Ada', lastName: 'Lovelace' };
const grace = { username: 'grace', email: 'grace@example.com', firstName: 'Grace', lastName: 'Hopper' };

describe('users', () => {
  let database: TestDatabase;
  let store: UserStore;
  let http: HttpService;
  let origin: string;
  let wakes = 0;

  before(async () => {
    database = await createTestDatabase('users');
    store = new UserStore(database.pool);
    const log = createLogger('users', 'silent');
    const handlers = createHandlers(store, () => wakes++);
    http = createHttp({ contract: users, handlers, health: new Health(), log });
    origin = `http://127.0.0.1:${await http.listen(0, '127.0.0.1')}`;
  });
  after(async () => {
    await http.close();
    await store.close();
    await database.drop();
  });
  beforeEach(async () => {
    await database.pool.query('TRUNCATE users RESTART IDENTITY; TRUNCATE millrace.outbox');
    wakes = 0;
  });

  async function call(
    method: string,
    path: string,
    input?: unknown,
    conditions: Record<string, string> = {},
  ): Promise<{ status: number; headers: Headers; body: User & Problem }> {
    const response = await fetch(origin + path, {
      method,
      headers: { ...(input !== undefined && { 'content-type': 'application/json' }), ...conditions },
      ...(input !== undefined && { body: JSON.stringify(input) }),
    });
    const text = await response.text();
    const body = (text && JSON.parse(text)) as User & Problem;
    return { status: response.status, headers: response.headers, body };
  }

  async function list(path: string): Promise<{ headers: Headers; body: User[] }> {
    const { headers, body } = await call('GET', path);
    return { headers, body: body as unknown as User[] };
  }

  async function events() {
    const { rows } = await database.pool.query<{ event_id: string; type: string; key: string; data: Buffer }>(
      'SELECT event_id, type, key, data FROM millrace.outbox ORDER BY id',
    );
    return rows.map(({ data, ...row }) => ({ ...row, data: JSON.parse(data.toString()) as Record<string, unknown> }));
  }

  it('registers a user and leaves its event in the outbox', async () => {
    const { status, headers, body } = await call('POST', '/users', ada);
    assert.equal(status, 201);
    assert.equal(headers.get('location'), '/users/1');
    const { createdAt, updatedAt, ...rest } = body;
    assert.deepEqual(rest, { id: 1, ...ada, status: 'ACTIVE' });
    assert.equal(createdAt, updatedAt);
    assert.ok(Math.abs(Date.parse(createdAt) - Date.now()) < 60_000);
    assert.deepEqual(await events(), [
      {
        event_id: 'user-1-1',
        type: 'user.created',
        key: '1',
        data: { userId: 1, ...ada, status: 'ACTIVE', version: 1, createdAt, updatedAt },
      },
    ]);
    assert.equal(wakes, 1);
  });

  it('finds a user by id and by username, in any case', async () => {
    const { body } = await call('POST', '/users', ada);
    assert.deepEqual((await call('GET', '/users/1')).body, body);
    assert.deepEqual((await call('GET', '/users/username/ADA')).body, body);
    assert.equal((await call('GET', '/users/username/ad%25')).status, 404);
    assert.equal((await call('GET', '/users/username/a%00da')).status, 400);
  });

  for (const [field, other] of [
    ['username', { ...grace, username: 'ADA' }],
    ['email', { ...grace, email: 'Ada@Example.com' }],
  ] as const) {
    it(`answers 409 and names the field if the ${field} is taken, in any case`, async () => {
      await call('POST', '/users', ada);
      const created = await call('POST', '/users', other);
      assert.equal(created.status, 409);
      assert.equal(created.headers.get('content-type'), 'application/problem+json; charset=utf-8');
      assert.deepEqual(created.body.errors, [{ field, message: 'is taken' }]);

      const { body } = await call('POST', '/users', grace);
      assert.equal((await call('PUT', `/users/${body.id}`, other)).status, 409);
      assert.deepEqual(
        (await events()).map((event) => event.type),
        ['user.created', 'user.created'],
        'a refused change leaves no event',
      );
    });
  }

  it('gives a username to one of several concurrent requests', async () => {
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, i) => call('POST', '/users', { ...ada, email: `ada${i}@example.com` })),
    );
    assert.equal(answers.filter((answer) => answer.status === 201).length, 1);
    assert.equal(answers.filter((answer) => answer.status === 409).length, 11);
    assert.equal((await events()).length, 1);
  });

  it('changes a user that keeps its username and e-mail', async () => {
    await call('POST', '/users', ada);
    const { status, body } = await call('PUT', '/users/1', { ...ada, username: 'Ada', lastName: 'Byron' });
    assert.equal(status, 200);
    assert.equal(body.username, 'Ada');
    assert.equal(body.lastName, 'Byron');
    assert.equal((await events()).at(-1)?.event_id, 'user-1-2');
    assert.equal(wakes, 2);
  });

  it('deletes a user: 404 from then on, the names free again, the events kept', async () => {
    await call('POST', '/users', ada);
    assert.equal((await call('DELETE', '/users/1')).status, 204);
    assert.equal((await call('GET', '/users/1')).status, 404);
    assert.equal((await call('DELETE', '/users/1')).status, 404);
    assert.equal((await call('PUT', '/users/1', ada)).status, 404);
    assert.equal((await call('POST', '/users', ada)).body.id, 2);
    assert.deepEqual(
      (await events()).map((event) => event.event_id),
      ['user-1-1', 'user-1-2', 'user-2-1'],
    );
  });

  it('publishes concurrent changes of a user in their order', async () => {
    await call('POST', '/users', ada);
    const changes = Array.from({ length: 40 }, (_, i) => call('PUT', '/users/1', { ...ada, lastName: `L${i}` }));
    assert.ok((await Promise.all(changes)).every((answer) => answer.status === 200));
    assert.equal((await call('DELETE', '/users/1')).status, 204);
    assert.deepEqual(
      (await events()).map((event) => event.data['version']),
      Array.from({ length: 42 }, (_, i) => i + 1),
    );
  });

  it('keeps neither the change nor its event if the transaction fails', async () => {
    await call('POST', '/users', ada);
    await database.pool.query(
      `ALTER TABLE millrace.outbox ADD CONSTRAINT refused CHECK (type = 'user.created') NOT VALID`,
    );
    try {
      assert.equal((await call('PUT', '/users/1', { ...ada, lastName: 'Byron' })).status, 500);
      assert.equal((await call('DELETE', '/users/1')).status, 500);
    } finally {
      await database.pool.query('ALTER TABLE millrace.outbox DROP CONSTRAINT refused');
    }
    assert.equal((await call('GET', '/users/1')).body.lastName, 'Lovelace');
    assert.equal((await events()).length, 1);
    assert.equal(wakes, 1);
  });

  it('lists users in pages, oldest first', async () => {
    for (let i = 1; i <= 5; i++)
      await call('POST', '/users', { ...ada, username: `user${i}`, email: `u${i}@example.com` });
    const pages: string[][] = [];
    let next: string | undefined = '/users?limit=2';
    while (next) {
      const { headers, body }: { headers: Headers; body: User[] } = await list(next);
      pages.push(body.map((user) => user.username));
      next = /^<([^>]+)>; rel="next"$/.exec(headers.get('link') ?? '')?.[1];
    }
    assert.deepEqual(pages, [['user1', 'user2'], ['user3', 'user4'], ['user5']]);
    assert.equal((await list('/users')).body.length, 5);
    assert.equal((await call('GET', '/users?limit=1001')).status, 400);
    assert.equal((await call('GET', '/users?limit=-1')).status, 400);
  });

  it('refuses an e-mail address that can never get mail', async () => {
    for (const email of [
      '"a\u0000b"@example.com',
      '"a\r\nb"@example.com',
      '"a b"@example.com',
      '"ab"@example.com',
      'a b@example.com',
      'a\r\nRCPT TO:<b@example.com>@example.com',
      'ada@example.com\n',
      'a..b@example.com',
      '.a@example.com',
      'a.@example.com',
      'ada@localhost',
      'ada@example.1',
      'ada@127.0.0.1',
      'ada@[127.0.0.1]',
      'ada@example..com',
      'ada@-example.com',
      'ada@example.com.',
      'ada@exa mple.com',
      'ada@example.com, eve@example.com',
      'Ada <ada@example.com>',
      `${'a'.repeat(65)}@example.com`,
      `ada@${'a'.repeat(64)}.com`,
      `ada@${'abc.'.repeat(63)}com`,
      'ada',
      '@example.com',
      '',
    ]) {
      const { status, body } = await call('POST', '/users', { ...ada, email });
      assert.deepEqual([status, body.errors?.map(({ field }) => field)], [400, ['email']], email);
    }
    assert.equal((await call('POST', '/users', { ...ada, email: `a${'@a'.repeat(500_000)}` })).status, 400);
    for (const email of [
      "o'hara+x=1/2@mail.example.co.uk",
      'a@b.museum',
      `${'a'.repeat(64)}@xn--mll-4ma.example`,
      '1@1.example',
    ]) {
      const { status, body } = await call('POST', '/users', { ...ada, username: `user ${email.slice(0, 9)}`, email });
      assert.equal(status, 201, JSON.stringify(body));
    }
  });

  it('changes and deletes a user only in the version that the client has seen', async () => {
    const { headers } = await call('POST', '/users', ada);
    const first = headers.get('etag')!;
    const changed = await call('PUT', '/users/1', { ...ada, lastName: 'Byron' }, { 'if-match': first });
    assert.deepEqual([changed.status, changed.headers.get('etag')], [200, '"2"']);
    for (const method of ['PUT', 'DELETE']) {
      const input = method === 'PUT' ? ada : undefined;
      assert.equal((await call(method, '/users/1', input, { 'if-match': first })).status, 412);
      assert.equal((await call(method, '/users/2', input, { 'if-match': first })).status, 404);
    }
    assert.equal((await call('GET', '/users/1')).body.lastName, 'Byron');
    assert.equal((await events()).length, 2);
    assert.equal((await call('DELETE', '/users/1', undefined, { 'if-match': '"1", "2"' })).status, 204);
  });

  it('sends a user only to a client that does not have it', async () => {
    await call('POST', '/users', ada);
    for (const path of ['/users/1', '/users/username/ada']) {
      const tag = (await call('GET', path)).headers.get('etag')!;
      const known = await fetch(origin + path, { headers: { 'if-none-match': `"9", W/${tag}` } });
      assert.deepEqual([known.status, known.headers.get('etag'), await known.text()], [304, tag, '']);
      assert.equal((await call('GET', path, undefined, { 'if-none-match': '"9"' })).status, 200);
    }
    assert.equal((await call('GET', '/users/2', undefined, { 'if-none-match': '*' })).status, 404);
  });

  it('refuses a name that no database stores, and one with white space around it', async () => {
    for (const firstName of ['a\u0000b', 'a\nb', '\ud800', ' a', '\ufeffa', '\u2003a']) {
      assert.equal((await call('POST', '/users', { ...ada, firstName })).status, 400, JSON.stringify(firstName));
    }
    assert.equal((await call('POST', '/users', { ...ada, firstName: 'Łuc\u0085ja 😀' })).status, 201);
  });

  it('distinguishes unknown ids from invalid ids', async () => {
    for (const method of ['GET', 'DELETE']) {
      assert.equal((await call(method, '/users/9223372036854775807')).status, 404);
      assert.equal((await call(method, '/users/9223372036854775808')).status, 400);
      assert.equal((await call(method, '/users/abc')).status, 400);
    }
    assert.equal((await call('PUT', '/users/9223372036854775807', ada)).status, 404);
    assert.equal((await call('GET', '/users?cursor=9223372036854775807')).status, 200);
  });

  it('takes usernames that look the same for the same, and none with characters that nobody sees', async () => {
    const named = (username: string) => ({ ...ada, username, email: `u${randomUUID()}@example.com` });
    const created = await call('POST', '/users', named('Zoe\u0308'));
    assert.equal(created.status, 201);
    assert.equal(created.body.username, 'Zo\u00eb');
    assert.equal((await call('POST', '/users', named('zo\u00eb'))).status, 409);
    assert.equal((await call('GET', `/users/username/${encodeURIComponent('Zoe\u0308')}`)).body.id, created.body.id);
    const hidden = await call('POST', '/users', named('Zo\u00eb\u200b'));
    assert.equal(hidden.status, 400);
    assert.deepEqual(
      hidden.body.errors?.map(({ field }) => field),
      ['username'],
    );
    assert.equal((await call('PUT', `/users/${created.body.id}`, named('a\u202eda'))).status, 400);
  });

  it('names each wrong field', async () => {
    const { status, body } = await call('POST', '/users', {
      username: 'ad',
      email: 'x',
      extra: 1,
      firstName: 'A',
    });
    assert.equal(status, 400);
    const fields = body.errors?.map((error) => error.field) ?? [];
    for (const field of ['username', 'email', 'extra', 'lastName']) assert.ok(fields.includes(field), field);
  });

  it('reads times correctly if the database server has another time zone', async () => {
    const { rows } = await database.pool.query<{ name: string }>('SELECT current_database() AS name');
    await database.pool.query(`ALTER DATABASE ${rows[0]!.name} SET timezone = 'Asia/Tokyo'`);
    const { createPool } = await import('#platform/postgres/pool.ts');
    const pool = createPool({ name: 'tokyo', url: database.url, max: 1, log: createLogger('users', 'silent') });
    const inTokyo = new UserStore(pool);
    try {
      const created = await inTokyo.create(ada);
      assert.deepEqual((await store.find(created.id))?.createdAt, created.createdAt);
      assert.deepEqual((await inTokyo.list(0n, 1))[0]?.createdAt, created.createdAt);
    } finally {
      await inTokyo.close();
      await pool.end();
    }
  });
});
