import assert from 'node:assert/strict';
import { it } from 'node:test';
import pg from 'pg';
import { PlatformError } from '#platform/errors';
import { patienceWith } from './refusal.ts';

function answer(code: string, severity = 'ERROR'): Error {
  return Object.assign(new pg.DatabaseError('no', 1, 'error'), { code, severity });
}

/** As Prisma's adapter describes it. */
function throughPrisma(originalCode: string): Error {
  const driverAdapterError = new Error('no', { cause: { originalCode, originalMessage: 'no', kind: 'postgres' } });
  return Object.assign(new Error('no'), { code: 'P2010', meta: { driverAdapterError } });
}

it('looks for the event behind an answer about a statement, and not behind an outage', () => {
  for (const code of ['42501', '42P01', 'MR001', 'XX000', '58P01', '55006'])
    assert.equal(patienceWith(answer(code)), 2);
  for (const code of ['57014', '55P03']) assert.equal(patienceWith(answer(code)), 1);
  assert.equal(patienceWith(new Error('in the handler', { cause: answer('42501') })), 2);
  for (const [code, patience] of [
    ['42501', 2],
    ['55P03', 1],
    ['53100', Number.POSITIVE_INFINITY],
  ] as const)
    assert.equal(patienceWith(throughPrisma(code)), patience, code);
  const outages = [
    ...['08006', '25006', '28P01', '3D000', '40001', '40P01', '53100', '57P01', '57P03'].map((code) => answer(code)),
    answer('42501', 'FATAL'), // the right to connect
    Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }),
    new PlatformError('ERR_DATABASE_SILENT', 'silent'),
    new Error('Connection terminated unexpectedly'),
    'no error',
  ];
  for (const outage of outages) assert.equal(patienceWith(outage), Number.POSITIVE_INFINITY, String(outage));
});
