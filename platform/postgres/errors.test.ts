import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import pg from 'pg';
import { PlatformError } from '#platform/errors';
import {
  Unavailable,
  isOfData,
  isOutcomeUnknown,
  isUnavailable,
  isUnreachable,
  markConnecting,
  markOutcomeUnknown,
  markUndone,
} from './errors.ts';

const coded = (code: string, fields: object = {}) => Object.assign(new Error('x'), { code, ...fields });
const ofPostgres = (code: string) => Object.assign(new pg.DatabaseError('x', 1, 'error'), { code, severity: 'ERROR' });
const throughPrisma = (code: string, cause: object) =>
  Object.assign(coded(code), { meta: { driverAdapterError: Object.assign(new Error('x'), { cause }) } });

/** The classes of https://www.postgresql.org/docs/18/errcodes-appendix.html. */
const classes =
  '00 01 02 03 08 09 0A 0B 0F 0L 0P 0Z 10 20 21 22 23 24 25 26 27 28 2B 2D 2F 34 38 39 3B 3D 3F 40 42 44 53 54 55 57 58 F0 HV P0 XX'.split(
    ' ',
  );
const ofData = new Set(['21', '22', '23', '44', '54']);
const digit = fc.constantFrom(...'0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ'.split(''));
const state = fc.tuple(fc.constantFrom(...classes), digit, digit, digit).map((parts) => parts.join(''));

test('of all codes of PostgreSQL, only those of the data are faults of the work', () => {
  fc.assert(
    fc.property(state, (code) => {
      const ofTheData = (ofData.has(code.slice(0, 2)) || code === 'P0001') && code !== '2200H';
      for (const error of [
        ofPostgres(code),
        new Error('wrapped', { cause: ofPostgres(code) }),
        throughPrisma('P2010', { originalCode: code, kind: 'postgres' }),
      ]) {
        assert.equal(isUnavailable(error), !ofTheData, code);
        assert.equal(isOfData(error), ofTheData, code);
        assert.equal(isOutcomeUnknown(error), code.startsWith('08') || ['57P02', '40003'].includes(code), code);
      }
    }),
    {
      numRuns: 2_000,
      examples: [
        ['P0001'],
        ['P0002'],
        ['57P02'],
        ['40003'],
        ['57014'],
        ['28P01'],
        ['42P01'],
        ['23505'],
        ['2200H'],
        ['54000'],
      ],
    },
  );
});

test('a limit that the server has reached with any data is no fault of the work, though its code is one of the data', () => {
  const limit = (message: string) => Object.assign(new pg.DatabaseError(message, 1, 'error'), { code: '54000' });
  for (const message of [
    'database is not accepting commands that assign new transaction IDs to avoid wraparound data loss in database "orders"',
    'database is not accepting commands that assign new MultiXactIds to avoid wraparound data loss in database "orders"',
    'multixact "members" limit exceeded',
    'cannot extend relation base/5/16384 beyond 4294967294 blocks',
  ]) {
    assert.ok(isUnavailable(limit(message)), message);
    const cause = { originalCode: '54000', originalMessage: message, kind: 'postgres' };
    assert.ok(isUnavailable(throughPrisma('P2010', cause)), message);
    assert.ok(!isOutcomeUnknown(limit(message)), message);
  }
  assert.ok(!isUnavailable(limit('index row size 8216 exceeds btree version 4 maximum 2704 for index "names"')));
  assert.ok(!isUnavailable(limit('row is too big: size 8216, maximum size 8160')));
});

test('what the code throws itself is a fault of the work', () => {
  for (const error of [
    new TypeError('undefined is not a function'),
    new PlatformError('ERR_EVENT_INVALID', 'x'),
    new PlatformError('ERR_DATABASE_ROLLED_BACK', 'x'),
    coded('ERR_INVALID_ARG_TYPE'),
    new RangeError('Invalid time value'),
    AbortSignal.abort().reason,
    'text',
    undefined,
    { code: '57014' },
  ]) {
    assert.ok(!isUnavailable(error), String(error));
    assert.ok(!isOfData(error), 'PostgreSQL does not say so');
  }
  assert.ok(isUnavailable(new Unavailable('later')));
  assert.ok(!isOutcomeUnknown(new Unavailable('later')));
  assert.ok(!isUnavailable(markUndone(new TypeError('x'))));
});

test('a connection that was not made is unavailable, and nothing is done', () => {
  for (const error of [
    coded('ECONNREFUSED'),
    coded('ENOTFOUND'),
    coded('ETIMEDOUT', { syscall: 'connect' }),
    new Error('timeout exceeded when trying to connect'),
    new Error('Client has encountered a connection error and is not queryable'),
    new Error('Cannot use a pool after calling end on the pool'),
    throughPrisma('P1001', { kind: 'DatabaseNotReachable' }),
    coded('P2024'),
    coded('CERT_HAS_EXPIRED'),
    markConnecting(new Error('The server does not support SSL connections')),
    markConnecting(coded('ECONNRESET')),
  ]) {
    assert.ok(isUnavailable(error), error.message + JSON.stringify(error));
    assert.ok(!isOutcomeUnknown(error), error.message + JSON.stringify(error));
  }
});

test('after a lost connection the outcome is unknown, unless it is known', () => {
  for (const error of [
    ...['ECONNRESET', 'ECONNABORTED', 'EPIPE', 'EIO', 'ETIMEDOUT', 'P1017', 'P1008', 'ERR_STREAM_DESTROYED'].map(
      (code) => coded(code),
    ),
    new Error('Connection terminated unexpectedly'),
    new Error('Query read timeout'),
    new pg.DatabaseError('received invalid response: 48', 1, 'error'),
    markOutcomeUnknown(new TypeError('x')),
    new PlatformError('ERR_DATABASE_SILENT', 'x'),
    throughPrisma('P1017', { kind: 'ConnectionClosed' }),
    new Error('wrapped', { cause: new Error('wrapped', { cause: coded('ECONNRESET') }) }),
  ]) {
    assert.ok(isUnavailable(error), error.message + JSON.stringify(error));
    assert.ok(isOutcomeUnknown(error), error.message + JSON.stringify(error));
    assert.ok(isUnavailable(markUndone(error)));
    assert.ok(!isOutcomeUnknown(error), 'it is known');
  }
});

test('codes of Prisma are not taken for codes of PostgreSQL', () => {
  for (const code of ['P2002', 'P2003', 'P2025']) {
    assert.ok(!isUnavailable(coded(code)), code);
    assert.ok(!isOfData(coded(code)), code);
  }
  const taken = throughPrisma('P2002', { originalCode: '23505', kind: 'UniqueConstraintViolation' });
  assert.ok(!isUnavailable(taken) && isOfData(taken));
  assert.ok(isUnavailable(throughPrisma('P2021', { originalCode: '42P01', kind: 'TableDoesNotExist' })));
});

test('causes that refer to each other end', () => {
  const error = new Error('x');
  error.cause = new Error('y', { cause: error });
  assert.ok(!isUnavailable(error));
});

test('a server is unreachable that does not answer, starts, stops or has no room, and none that refuses', () => {
  const refused = Object.assign(new AggregateError([coded('ECONNREFUSED')]), { code: 'ECONNREFUSED' });
  const silent = new Error('Connection terminated due to connection timeout');
  const answers = ['57P03', '57P01', '53300', '08006'].map(ofPostgres);
  for (const error of [
    refused,
    ...['ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'EHOSTDOWN'].map((code) => coded(code)),
    ...['EAI_AGAIN', 'ENOTFOUND'].map((code) => coded(code, { syscall: 'getaddrinfo' })),
    silent,
    new Error('timeout expired'),
    ...answers,
  ])
    assert.ok(isUnreachable(error), error.message);
  const refusals = ['28P01', '28000', '42501', '3D000', '08P01'].map(ofPostgres);
  for (const error of [
    ...refusals,
    ...['ENOENT', 'EACCES'].map((code) => coded(code, { syscall: 'open' })),
    coded('SELF_SIGNED_CERT_IN_CHAIN'),
    coded('ERR_TLS_CERT_ALTNAME_INVALID'),
    new Error('x'),
  ])
    assert.ok(!isUnreachable(error), String((error as { code?: string }).code));
});
