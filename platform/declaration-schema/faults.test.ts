import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventServices } from '#platform/declarations';
import type { EventService } from '#platform/declarations';
import { declarationFaults } from './faults.ts';

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
  ]) {
    assert.match(found, expected);
  }
  assert.deepEqual(declarationFaults(declared({ port: 8090 })), []);
});

test('the rules of the CRD are those of the local run', () => {
  const consumes = [{ group: 'rooms', topics: ['room-events'], database: 'hotel' }];
  const scaling = { minReplicas: 3, maxReplicas: 2, lagPerReplica: 1 };
  assert.deepEqual(declarationFaults(declared({ port: 80, consumes, scaling })), [
    'rooms: spec: consumes names a database that the service does not have',
    'rooms: spec.scaling: maxReplicas must be at least minReplicas',
  ]);
  const databases = [{ name: 'hotel', schema: 'prisma/hotel' }];
  assert.deepEqual(
    declarationFaults(declared({ port: 80, consumes, databases, scaling: { ...scaling, maxReplicas: 3 } })),
    [],
  );
});
