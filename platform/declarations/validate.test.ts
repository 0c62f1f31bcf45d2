import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EventService } from './declarations.ts';
import { eventServices } from './declarations.ts';
import { declarationFaults } from './validate.ts';

const declared = (spec: object) => [{ kind: 'EventService', metadata: { name: 'rooms' }, spec }] as EventService[];

test('what is declared is as the operator wants it', () => {
  assert.deepEqual(declarationFaults(eventServices()), []);
});

test('each mistake is named with its service and its field', () => {
  const consumes = [{ group: 'rooms', topics: ['room-events'], database: 'hotel' }];
  const produces = [{ topic: 'room events', partitions: 0, retention: '1 week' }];
  const found = declarationFaults(declared({ port: '80', prot: 80, consumes, produces })).join('\n');
  for (const expected of [
    /^rooms: spec\.prot is not known$/m,
    /^rooms: spec\.port must be integer$/m,
    /^rooms: spec\.produces\.0\.topic must match/m,
    /^rooms: spec\.produces\.0\.partitions must be >= 1$/m,
    /^rooms: rooms writes to the database hotel, which the service does not have$/m,
  ]) {
    assert.match(found, expected);
  }
  assert.deepEqual(declarationFaults(declared({ port: 8090 })), []);
});
