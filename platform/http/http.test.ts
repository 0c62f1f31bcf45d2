import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { before, describe, test } from 'node:test';
import { Type } from 'typebox';
import { defineContract, Page, PathId } from '#platform/contract';
import { createHttp } from './http.ts';
import { Health } from '#platform/health';
import { markUndone } from '#platform/postgres';
import { createLogger } from '#platform/telemetry';
import { eventually } from '#test/eventually.ts';
import { conflict } from './problem.ts';

const note = Type.Optional(Type.Union([Type.String({ maxLength: 5 }), Type.Null()]));
const thing = Type.Object({ name: Type.String({ maxLength: 5 }), note }, { additionalProperties: false });
const ok = { 200: { description: 'ok' } };
const things = defineContract('things', {
  operations: {
    list: {
      method: 'get',
      path: '/things',
      summary: '',
      query: Type.Object(Page),
      responses: ok,
    },
    add: {
      method: 'post',
      path: '/things',
      summary: '',
      body: thing,
      responses: ok,
    },
    read: {
      method: 'get',
      path: '/things/{id}',
      summary: '',
      params: Type.Object({ id: PathId }),
      responses: ok,
    },
    remove: {
      method: 'delete',
      path: '/things/{id}',
      summary: '',
      params: Type.Object({ id: PathId }),
      responses: ok,
    },
  },
});

interface ProblemBody {
  type: string;
  status: number;
  instance: string;
  errors?: { field: string }[];
}

/** Errors of the database by an id. */
const outages: Record<string, () => Error> = {
  '503': () => Object.assign(new Error('x'), { code: 'ECONNREFUSED' }),
  '504': () => Object.assign(new Error('x'), { code: 'ECONNRESET' }),
  '505': () => markUndone(Object.assign(new Error('x'), { code: 'ECONNRESET' })),
  '507': () =>
    Object.assign(new Error(`${performance.now()} bytes wait`, { cause: new Error('no room') }), { code: '53200' }),
  '400': () => Object.assign(new Error('x'), { code: 'ECONNABORTED', status: 400, type: 'request.aborted' }),
};

test('asks before each operation that can change something whether it may', async (t) => {
  let asked = 0;
  const beforeCommand = () => {
    asked += 1;
    throw conflict('not now');
  };
  const handlers = { list: () => ({ body: [] }), add: () => ({}), read: () => ({ body: {} }), remove: () => ({}) };
  const log = createLogger('things', 'silent');
  const http = createHttp({ contract: things, handlers, health: new Health(), log, beforeCommand });
  const port = await http.listen(0, '127.0.0.1');
  t.after(() => http.close());
  const statusOf = async (method: string, path: string, body?: string) => {
    const headers = { 'content-type': 'application/json' };
    const request = { method, ...(body !== undefined && { body, headers }) };
    return (await fetch(`http://127.0.0.1:${port}${path}`, request)).status;
  };
  assert.equal(await statusOf('GET', '/things'), 200);
  assert.equal(asked, 0);
  assert.equal(await statusOf('POST', '/things', '{"name":"a"}'), 409);
  assert.equal(await statusOf('DELETE', '/things/1'), 409);
  assert.equal(asked, 2);
});

describe('an HTTP service', () => {
  const health = new Health();
  const log = createLogger('things', 'silent');
  let release: (() => void) | undefined;
  const http = createHttp({
    contract: things,
    health,
    log,
    handlers: {
      list: ({ query }) => ({ body: query }),
      add: ({ body }) => ({ status: 201, headers: { Location: '/things/1' }, body }),
      read: async ({ params }) => {
        if (params.id === '409') throw conflict('taken');
        if (params.id === '500') throw new Error('secret detail');
        if (outages[params.id]) throw outages[params.id]!();
        if (params.id === '99') {
          await new Promise<void>((resolve) => {
            release = resolve;
          });
        }
        return { body: params };
      },
      remove: ({ params }) => {
        throw outages[params.id]!();
      },
    },
  });
  let base: string;
  before(async () => {
    base = `http://127.0.0.1:${await http.listen(0, '127.0.0.1')}`;
  });

  const send = (body: string | Uint8Array<ArrayBuffer>, type = 'application/json') =>
    fetch(`${base}/things`, { method: 'POST', body, headers: { 'content-type': type } });

  async function expectProblem(response: Response, status: number, ...fields: string[]): Promise<ProblemBody> {
    const problem = (await response.json()) as ProblemBody;
    assert.equal(response.status, status);
    assert.match(response.headers.get('content-type')!, /^application\/problem\+json/);
    assert.equal(problem.status, status);
    assert.equal(response.headers.get('cache-control'), 'no-store');
    assert.deepEqual((problem.errors ?? []).map(({ field }) => field).toSorted(), fields.toSorted());
    return problem;
  }

  test('answers with validated, typed input', async () => {
    const created = await send('{"name":"a"}');
    assert.equal(created.status, 201);
    assert.equal(created.headers.get('location'), '/things/1');
    assert.deepEqual(await created.json(), { name: 'a' });
    const listed = await fetch(`${base}/things?limit=7&other=1`);
    assert.deepEqual(await listed.json(), { limit: 7 });
    assert.deepEqual(await (await fetch(`${base}/things`)).json(), { limit: 100 });
  });

  test('names each field of bad input', async () => {
    await expectProblem(await send('{"name":"toolong","x":1,"__proto__":{}}'), 400, '__proto__', 'name', 'x');
    await expectProblem(await send('{}'), 400, 'name');
    await expectProblem(await send('{"name":"a","note":"toolong"}'), 400, 'note');
    await expectProblem(await send('{"name"'), 400, 'body');
    await expectProblem(await send('[]'), 400, 'body');
    await expectProblem(await send('7'), 400, 'body');
    await expectProblem(await send(Buffer.from('{"name":"\xff"}', 'latin1')), 400, 'body'); // not UTF-8
    assert.equal(
      (await send(Buffer.from('{"name":"é"}', 'utf16le'), 'application/json; charset=utf-16le')).status,
      201,
    );
    await expectProblem(await fetch(`${base}/things`, { method: 'POST' }), 400, 'body');
    await expectProblem(await fetch(`${base}/things?limit=-1`), 400, 'limit');
    await expectProblem(await fetch(`${base}/things?limit=ten`), 400, 'limit');
    await expectProblem(await fetch(`${base}/things?limit=1&limit=2`), 400, 'limit');
    await expectProblem(await fetch(`${base}/things/9223372036854775808`), 400, 'id');
    await expectProblem(await fetch(`${base}/things/-1`), 400, 'id');
    assert.equal((await fetch(`${base}/things/9223372036854775807`)).status, 200);
  });

  test('knows its limits at the door', async () => {
    await expectProblem(await send(JSON.stringify({ name: 'x'.repeat(1024 * 1024) })), 413);
    await expectProblem(await send('name=a', 'text/plain'), 415);
    await expectProblem(await fetch(`${base}/nothing`), 404);
    await expectProblem(await fetch(`${base}/things/%zz`), 400);
    const response = await fetch(`${base}/things`, { method: 'DELETE' });
    assert.equal(response.headers.get('allow'), 'GET, HEAD, POST, OPTIONS');
    await expectProblem(response, 405);
    await expectProblem(await fetch(`${base}/livez`, { method: 'POST' }), 405);
  });

  test('turns errors into problems and keeps secrets', async () => {
    await expectProblem(await fetch(`${base}/things/409`), 409);
    const problem = await expectProblem(await fetch(`${base}/things/500?q=1`), 500);
    assert.equal(problem.instance, '/things/500');
    assert.doesNotMatch(JSON.stringify(problem), /secret/);
    for (const [prefix, instance] of Object.entries({ '/api': '/api/things/409', '//evil': '/things/409' })) {
      const headers = { 'x-forwarded-prefix': prefix };
      assert.equal((await expectProblem(await fetch(`${base}/things/409`, { headers }), 409)).instance, instance);
    }
    const unavailable = await fetch(`${base}/things/503`);
    assert.ok(Number(unavailable.headers.get('retry-after')) > 0);
    await expectProblem(unavailable, 503);
  });

  test('says 504 outcome-unknown where a command may have taken effect, else 503', async () => {
    const problemAt = async (method: string, id: string) => {
      const response = await fetch(`${base}/things/${id}`, { method });
      const { type } = (await response.json()) as ProblemBody;
      return [response.status, type, response.headers.has('retry-after')];
    };
    const unknown = [504, 'urn:millrace:problem:outcome-unknown', false];
    const undone = [503, 'urn:millrace:problem:service-unavailable', true];
    assert.deepEqual(await problemAt('DELETE', '504'), unknown);
    assert.deepEqual(await problemAt('DELETE', '503'), undone);
    assert.deepEqual(await problemAt('DELETE', '505'), undone);
    assert.deepEqual(await problemAt('GET', '504'), undone);
    const ofBody = [400, 'urn:millrace:problem:bad-input', false];
    assert.deepEqual(await problemAt('DELETE', '400'), ofBody, "an error of the request's body is not the database's");
  });

  test('logs an outage once with its reason and counts the rest, and each fault of the code with its stack', async (t) => {
    const [warn, error] = (['warn', 'error'] as const).map((level) => t.mock.method(log, level, () => undefined).mock);
    const lines = (mock: typeof warn) =>
      mock!.calls.map(({ arguments: args }) => args as unknown[] as [{ err?: Error; reason?: string }, string]);
    const ask = (id: string) => fetch(`${base}/things/${id}`).then((response) => response.arrayBuffer());
    const outage = { method: 'GET', path: '/things/507', code: '53200' };
    for (let i = 0; i < 20; i++) await ask('507');
    const [first, ...others] = lines(warn);
    assert.deepEqual(others, []);
    const [{ reason, ...rest }, message] = first!;
    assert.deepEqual(rest, { ...outage, repeated: undefined });
    assert.match(reason!, /^[\d.]+ bytes wait: no room$/);
    assert.equal(message, 'The database cannot be used now');
    const now = performance.now.bind(performance);
    t.mock.method(performance, 'now', () => now() + 30_000);
    await Promise.all(Array.from({ length: 3 }, () => ask('507')));
    assert.deepEqual(
      lines(warn)
        .slice(1)
        .map(([fields]) => ({ ...fields, reason: '' })),
      [{ ...outage, reason: '', repeated: 19 }],
    );
    for (let i = 0; i < 2; i++) await ask('500');
    const stacks = lines(error).map(([{ err }]) => err?.stack);
    assert.equal(stacks.length, 2);
    for (const stack of stacks) assert.match(stack!, /secret detail\n +at /);
  });

  test('shows health and metrics', async () => {
    assert.deepEqual(await (await fetch(`${base}/livez`)).json(), { status: 'UP', service: 'things', checks: {} });
    await fetch(`${base}/things`);
    const metrics = await (await fetch(`${base}/metrics`)).text();
    assert.match(metrics, /millrace_http_request_seconds_count\{method="GET",route="\/things",status="200"\} \d/);
  });

  test('finishes what is under way when it closes, and accepts nothing more', async () => {
    const underWay = fetch(`${base}/things/99`);
    await eventually(() => release !== undefined);
    const request = 'GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n';
    const idle = connect(Number(new URL(base).port), '127.0.0.1').setEncoding('utf8');
    await once(
      idle.on('connect', () => idle.write(request)),
      'data',
    );
    health.drain();
    const closed = http.close();
    const late = once(idle, 'data');
    idle.write(request); // crosses with the close
    await assert.rejects(
      new Promise((resolve, reject) => {
        connect(Number(new URL(base).port), '127.0.0.1')
          .once('connect', resolve)
          .once('error', reject);
      }),
      /ECONNREFUSED/,
    );
    release?.();
    assert.equal((await underWay).status, 200);
    assert.match(String(await late), /^HTTP\/1\.1 200 [^]*Connection: close/i);
    await closed;
  });
});
