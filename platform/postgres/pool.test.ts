import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isUnavailable } from './pool.ts';

const coded = (code: string) => Object.assign(new Error('x'), { code });

test('a database that cannot be used right now is told from a fault of the work', () => {
  for (const code of ['08006', '53300', '57P01', '40P01', '40001', 'ECONNREFUSED'])
    assert.ok(isUnavailable(coded(code)), code);
  for (const code of ['23505', '22P02', '42P01', '23503']) assert.ok(!isUnavailable(coded(code)), code);
  assert.ok(isUnavailable(new Error('Connection terminated unexpectedly')));
  assert.ok(isUnavailable(new Error('wrapped', { cause: coded('57P03') })));
  const throughPrisma = (cause: object) => Object.assign(coded('P2010'), { meta: { driverAdapterError: { cause } } });
  assert.ok(isUnavailable(throughPrisma({ originalCode: '57P01', kind: 'postgres' })));
  assert.ok(isUnavailable(throughPrisma({ kind: 'DatabaseNotReachable' })));
  assert.ok(!isUnavailable(throughPrisma({ originalCode: '23505' })));
  assert.ok(!isUnavailable(new TypeError('undefined is not a function')));
  assert.ok(!isUnavailable('text'));
});
