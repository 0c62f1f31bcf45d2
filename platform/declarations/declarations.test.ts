import assert from 'node:assert/strict';
import { test } from 'node:test';
import { contracts } from '#contracts/index.ts';
import { eventServices, parseDuration, topics } from './declarations.ts';

test('every topic that the contract sends to or a service reads is declared, once', () => {
  const names = topics().map((topic) => topic.name);
  assert.equal(new Set(names).size, names.length);
  const used = [
    ...Object.values(contracts.events).flatMap((type) => type.topics),
    ...eventServices().flatMap((service) => (service.spec.consumes ?? []).flatMap((group) => group.topics)),
  ];
  for (const topic of used) assert.ok(names.includes(topic), topic);
});

test('a service declares exactly the topics of the events in its contract', () => {
  const declared = new Map(eventServices().map(({ metadata, spec }) => [metadata.name, spec.produces ?? []]));
  for (const { name, events } of contracts.contracts) {
    const sent = new Set(Object.values(events).flatMap((event) => event.topics));
    const produced = new Set(declared.get(name)?.map(({ topic }) => topic));
    assert.deepEqual(produced, sent, name);
  }
});

test('every service of the contract is declared, with a port of its own', () => {
  const services = eventServices();
  const ports = services.map((service) => service.spec.port);
  assert.equal(new Set(ports).size, ports.length);
  const names = services.map((service) => service.metadata.name);
  for (const { name } of contracts.contracts) assert.ok(names.includes(name), name);
});

test('durations are read, and what is none is refused', () => {
  assert.equal(parseDuration('500ms'), 500);
  assert.equal(parseDuration('7d'), 604_800_000);
  assert.equal(parseDuration(-1), -1);
  assert.throws(() => parseDuration('1 week'), /'1 week' is not a duration/);
});
