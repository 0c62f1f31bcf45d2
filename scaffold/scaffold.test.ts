// Tests refusals and the written files; acceptance.ts, which is slow, tests that the result runs.
import assert from 'node:assert/strict';
import { cpSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { contracts } from '#contracts/index.ts';
import { eventServices, streamQueryFiles } from '#platform/declarations';
import { loadQueries, queryTopics } from '#streams/language';
import { createTestDatabase } from '#test/database.ts';

import { newEvent } from './event.ts';
import { serviceNames } from './names.ts';
import { newQuery } from './query.ts';
import { declarationsOf, newService } from './service.ts';

const root = join(import.meta.dirname, '..');

/** The names that a template's module declares at its first two levels, as names of services. */
function namesIn(text: string): string[] {
  const lists = [...text.matchAll(/^(?:import|(?: {2})?const) \{([^}]*)\}/gm)].flatMap(([, list]) => list!.split(','));
  const single = [...text.matchAll(/^(?:import|(?:export )?(?: {2})?(?:const|let|function)) (\w+)/gm)].map(
    ([, one]) => one!,
  );
  return [...lists, ...single]
    .map((name) => name.trim())
    .filter((name) => /^[a-z]\w*$/.test(name))
    .map((name) => name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`));
}

describe('npm run new', () => {
  let copy: string;
  before(() => {
    copy = mkdtempSync(join(tmpdir(), 'millrace-new-'));
    for (const folder of ['services/contracts', 'charts/millrace/files', '.prettierrc.json'])
      cpSync(join(root, folder), join(copy, folder), { recursive: true });
  });
  after(() => rmSync(copy, { recursive: true, force: true }));

  const [known] = eventServices().flatMap(({ spec }) => (spec.produces ?? []).map(({ topic }) => topic));
  const request = { name: 'stock-levels', topic: 'stock-events', consumes: [known!] };

  test('makes a service, and nothing the second time', async () => {
    const lines = await newService(copy, request, contracts)!.write();
    for (const path of [
      'services/contracts/stock-levels.ts',
      'services/stock-levels/main.ts',
      'services/stock-levels/projection.ts',
      'services/stock-levels/stock-levels.test.ts',
      'prisma/stock-levels/migrations/0001_init/migration.sql',
      'charts/millrace/files/queries/stock-level-created.yaml',
    ])
      assert.ok(lines.includes(`wrote   ${path}`), path);
    const declared = eventServices(declarationsOf(copy));
    const specOf = (name: string) => declared.find(({ metadata }) => metadata.name === name)!.spec;
    assert.deepEqual(specOf('stock-levels').consumes, [
      { group: 'stock-levels', topics: [known], database: 'stock-levels' },
    ]);
    assert.ok(specOf('gateway').calls?.includes('stock-levels'));
    assert.ok(declared.find(({ spec }) => spec.streamQueries)!.spec.consumes![0]!.topics.includes('stock-events'));
    assert.equal(new Set(declared.map(({ spec }) => spec.port)).size, declared.length);
    assert.match(readFileSync(join(copy, 'services/contracts/index.ts'), 'utf8'), /\bstockLevels\b.*from/);

    assert.equal(newService(copy, request, contracts), undefined);
  });

  test('omits the parts that a service without consumed topics does not need', async () => {
    await newService(copy, { name: 'parcels', topic: 'parcels-events', consumes: [] }, contracts)!.write();
    const main = readFileSync(join(copy, 'services/parcels/main.ts'), 'utf8');
    assert.doesNotMatch(main, /Inbox|project|\/\/\?/);
    assert.throws(() => readFileSync(join(copy, 'services/parcels/projection.ts')), /ENOENT/);
  });

  test('refuses names that are taken, with a sentence', () => {
    const refusal = (changed: Partial<typeof request>, sentence: RegExp) =>
      assert.throws(
        () => newService(copy, { ...request, name: 'depots', topic: 'depot-events', ...changed }, contracts),
        {
          name: 'Fault',
          message: sentence,
        },
      );
    refusal({ name: 'stock-levels' }, /^The name stock-levels is taken: charts.*stock-levels\.yaml declares another/);
    refusal({ name: 'contracts' }, /choose another name/);
    refusal({ topic: 'stock-events' }, /^The topic stock-events is taken: stock-levels sends its events there\.$/);
    refusal({ consumes: ['nothing'] }, /^No service declares the topic nothing\. There are /);
    refusal({ name: 'alerts' }, /^Another contract has a schema Alert/);
    refusal({ topic: 'a topic' }, /^"a topic" is not a valid name of a topic/);
  });

  test('consumes a topic once, however often it is named', async () => {
    const wanted = [known!, 'parcels-events'];
    await newService(
      copy,
      { name: 'drones', topic: 'drone-events', consumes: [...wanted, known!] },
      contracts,
    )!.write();
    const drones = eventServices(declarationsOf(copy)).find(({ metadata }) => metadata.name === 'drones');
    assert.deepEqual(drones?.spec.consumes?.[0]?.topics, wanted);
  });

  test('refuses invalid names', () => {
    for (const name of ['', 'Depots', 'depot_s', '-depots', 'depots-', '1depots', '../depots', 'a b'])
      assert.throws(() => serviceNames(name), /is not a valid name of a service/, name);
    assert.throws(() => serviceNames('x'.repeat(41)), /longer than 40/);
    for (const name of ['user', 'class', 'types', 'latest-events'])
      assert.throws(() => serviceNames(name), /choose another name/, name);
  });

  test('refuses the words that PostgreSQL takes for no table', async () => {
    const database = await createTestDatabase('analytics');
    try {
      const { rows } = await database.pool.query<{ word: string }>(
        `SELECT replace(word, '_', '-') AS word FROM pg_get_keywords() WHERE catcode IN ('R', 'T')`,
      );
      assert.ok(rows.length > 50);
      for (const { word } of rows) assert.throws(() => serviceNames(word), /choose another name/, word);
    } finally {
      await database.drop();
    }
  });

  test('refuses the names that the files with the constant of the contract use for something else', () => {
    const folder = join(import.meta.dirname, 'templates/service/services');
    const used = globSync('**/*.ts', { cwd: folder }).flatMap((file) => {
      const text = readFileSync(join(folder, file), 'utf8');
      return text.includes('__camel__') ? namesIn(text) : [];
    });
    assert.ok(used.includes('relay') && used.includes('project') && used.includes('health'));
    for (const name of used) assert.throws(() => serviceNames(name), /choose another name/, name);
  });

  test('finds the singular of a name', () => {
    const words = {
      bookings: 'booking',
      inventory: 'inventory',
      deliveries: 'delivery',
      addresses: 'address',
      gas: 'gas',
    };
    for (const [name, entity] of Object.entries(words)) assert.equal(serviceNames(name).entity, entity);
  });

  test('makes a query of a declared topic', async () => {
    await newQuery(copy, 'busy', 'stock-events')!.write();
    assert.match(readFileSync(join(copy, 'charts/millrace/files/queries/busy.yaml'), 'utf8'), /topic: stock-events/);
    const folder = declarationsOf(copy);
    const queries = loadQueries(streamQueryFiles(folder), queryTopics(eventServices(folder)));
    assert.ok(queries.some(({ name }) => name === 'busy'));
    assert.equal(newQuery(copy, 'busy', 'stock-events'), undefined);
    assert.throws(() => newQuery(copy, 'busy', known), /^Fault: The name busy is taken/);
    assert.throws(() => newQuery(copy, 'idle', 'nothing'), /No service declares the topic nothing/);
  });

  test('adds an event type to a contract', async () => {
    const stock = { name: 'stock-levels', events: { 'stock-level.created': {} } };
    const all = [stock, ...contracts.contracts];
    await newEvent(copy, 'stock-levels', 'stock-level.sold-out', all)!.write();
    const text = readFileSync(join(copy, 'services/contracts/stock-levels.ts'), 'utf8');
    assert.match(text, /^const StockLevelSoldOut = Type\.Object\(\{ stockLevelId: Id, time: EventTime \}\);/m);
    assert.match(text, /'stock-level\.sold-out': \{[^}]*topics: \['stock-events'\]/);
    assert.equal(newEvent(copy, 'stock-levels', 'stock-level.created', all), undefined);
    assert.throws(() => newEvent(copy, 'nobody', 'a.b', all), /There is no contract nobody/);
    assert.throws(() => newEvent(copy, 'stock-levels', 'created', all), /"created" is not a valid event type/);
    const refusal = { name: 'Fault', message: /analytics\.ts has its events in a form that is unknown here/ };
    assert.throws(() => newEvent(copy, 'analytics', 'analytics.made', all), refusal);
    const [taken] = Object.keys(contracts.events);
    assert.throws(() => newEvent(copy, 'stock-levels', taken!, all), /is taken: it is in the contract of/);
  });
});
