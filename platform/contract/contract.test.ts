import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Type } from 'typebox';
import { collectContracts, defineContract } from './contract.ts';

const about = { title: 'Rooms', description: 'Rooms and who booked them' };
const responses = { 200: { description: 'Rooms' } };
const rooms = defineContract('rooms', {
  events: { 'room.booked': { summary: 'A room was booked', topics: ['room-events'], schema: Type.Object({}) } },
  operations: { listRooms: { method: 'get', path: '/rooms', summary: 'List rooms', responses } },
});

test('an operation knows its id and its service', () => {
  const { id, service, path } = rooms.operations.listRooms;
  assert.deepEqual([id, service, path], ['listRooms', 'rooms', '/rooms']);
  assert.deepEqual(rooms.prefixes, ['/api']);
});

test('the registry has what all contracts declare', () => {
  const guests = defineContract('guests', { schemas: { Guest: Type.Object({}) } });
  const registry = collectContracts(about, [rooms, guests]);
  assert.deepEqual(Object.keys(registry.events), ['room.booked']);
  assert.deepEqual(
    registry.operations.map(({ id }) => id),
    ['listRooms'],
  );
  assert.deepEqual(Object.keys(registry.schemas), ['Guest']);
});

test('what two contracts declare under one name is refused with a sentence', () => {
  const { operations, events } = rooms;
  assert.throws(() => collectContracts(about, [rooms, { ...rooms }]), /the service|the operation/);
  const copied = defineContract('copy', { events: { 'room.booked': { ...events['room.booked'] } } });
  assert.throws(() => collectContracts(about, [rooms, copied]), /Two contracts have the event type room\.booked/);
  const same = defineContract('same', { operations: { listRooms: { ...operations.listRooms } } });
  assert.throws(() => collectContracts(about, [rooms, same]), /Two contracts have the operation listRooms/);
});
