import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { parse } from 'yaml';

import { chartFolder, refusalOf, renderMeanwhile, withoutHelm } from './testing.ts';

interface Schema {
  type?: string | string[];
  properties?: Record<string, Schema | true>;
  additionalProperties?: Schema | boolean;
  required?: string[];
  $ref?: string;
  $defs?: Record<string, Schema>;
}
/** A value of a chart, or of a map in its defaults. */
interface Place {
  path: string[];
  default: unknown;
  types: string[];
  /** whether Helm finds no fault in a null */
  takesNull: boolean;
}

const read = (chart: string, file: string) => readFileSync(join(chartFolder(chart), file), 'utf8');

/** Every place in the values of a chart, and in those of one service. */
function placesOf(chart: string): Place[] {
  const values = parse(read(chart, 'values.yaml')) as Record<string, object>;
  const root = JSON.parse(read(chart, 'values.schema.json')) as Schema;
  const service = root.$defs?.['service'];
  return [
    ...placesIn(root, root, values, []),
    ...(service ? placesIn(root, service, values['defaults']!, ['services', 'analytics']) : []),
  ];
}

function placesIn(root: Schema, schema: Schema, values: object, above: string[]): Place[] {
  return Object.entries(values).flatMap(([key, value]: [string, unknown]) => {
    const path = [...above, key];
    const own = schema.properties?.[key] ?? schema.additionalProperties;
    const found = typeof own === 'object' ? (own.$ref ? root.$defs![own.$ref.split('/').at(-1)!]! : own) : {};
    const types = found.type === undefined ? [] : [found.type].flat();
    // Helm takes the default out, but there is none for one service
    const takesNull =
      above[0] === 'services' ? types.includes('null') || types.length === 0 : !schema.required?.includes(key);
    const isMap = typeof value === 'object' && value !== null && !Array.isArray(value);
    return [{ path, default: value, types, takesNull }, ...(isMap ? placesIn(root, found, value, path) : [])];
  });
}

/** A value that is of none of these types. */
function otherThan(types: string[]): unknown {
  if (!types.includes('string')) return 'text';
  return types.includes('number') ? true : 3.5;
}

/** Values with one in each place. */
function valuesWith(places: Place[], valueOf: (place: Place) => unknown): object {
  const values = {};
  for (const place of places) {
    const last = place.path
      .slice(0, -1)
      .reduce<Record<string, object>>((map, key) => (map[key] ??= {}) as never, values);
    last[place.path.at(-1)!] = valueOf(place) as object;
  }
  return values;
}

/** The places in layers, the outermost first: none of a layer is in another one of it, so that one run of Helm tries all of them. */
function layersOf(places: Place[]): Place[][] {
  const isWithin = ({ path }: Place, { path: other }: Place) =>
    other.length < path.length && other.every((key, index) => key === path[index]);
  const [inner = [], outer = []] = [true, false].map((wanted) =>
    places.filter((place) => places.some((other) => isWithin(place, other)) === wanted),
  );
  return outer.length === 0 ? [] : [outer, ...layersOf(inner)];
}

/** The places of which Helm says what is wrong. */
function namedIn(message: string): string[] {
  return message.split('\n').flatMap((line) => {
    const [, at, fault] = /^ *- at '(.*)': (.*)$/.exec(line) ?? [];
    if (fault === undefined) return [];
    const missing = /^missing propert(y|ies) (.*)/.exec(fault)?.[2]?.matchAll(/'([^']*)'/g);
    if (missing) return [...missing].map(([, key]) => `${at}/${key}`);
    return /^got |does not match pattern/.test(fault) ? [at!] : [];
  });
}
const names = (places: Place[]) => places.map(({ path }) => `/${path.join('/')}`).toSorted();

const modes: Record<string, object[]> = {
  millrace: [
    {},
    { postgresql: { mode: 'cloudnative-pg' }, networkPolicy: { enabled: false } },
    {
      postgresql: { mode: 'external', external: { existingSecret: 'server', cidrs: ['10.0.0.0/8'] } },
      kafka: {
        mode: 'external',
        external: { bootstrapServers: 'b:9096', sasl: { existingSecret: 'msk' }, cidrs: ['10.0.0.0/8'] },
      },
      mail: { smtpUrlSecret: 'smtp' },
    },
  ],
  'millrace-operator': [{}, { watchNamespaces: ['shop'], networkPolicy: { enabled: false } }],
};

function merged(under: object, over: object): object {
  const isMap = (value: unknown): value is object =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  const all: Record<string, unknown> = { ...under };
  for (const [key, value] of Object.entries(over))
    all[key] = isMap(value) && isMap(all[key]) ? merged(all[key], value) : value;
  return all;
}

for (const [chart, itsModes] of Object.entries(modes))
  describe(`each value of the chart ${chart}`, { skip: withoutHelm, concurrency: 2 }, () => {
    const places = placesOf(chart);

    const namedWith = (some: Place[], valueOf: (place: Place) => unknown) =>
      namedIn(refusalOf(chart, valuesWith(some, valueOf))).toSorted();

    test('that has another type is refused, by its name', () => {
      const typed = places.filter(({ types }) => types.length > 0);
      assert.ok(typed.length > 50);
      for (const some of layersOf(typed))
        assert.deepEqual(
          namedWith(some, ({ types }) => otherThan(types)),
          names(some),
        );
    });

    test('that is an amount takes nothing else', () => {
      const amounts = places.filter((place) => /^\d+(m|[KMG]i)$/.test(String(place.default)));
      assert.ok(amounts.length > 2);
      assert.deepEqual(
        namedWith(amounts, () => '10Gigs'),
        names(amounts),
      );
    });

    test('that is null is refused by its name, unless templates do without it', async () => {
      const refused = places.filter(({ takesNull }) => !takesNull);
      assert.ok(refused.length > 30);
      const nothing = () => null;
      for (const some of layersOf(refused)) assert.deepEqual(namedWith(some, nothing), names(some));
      for (const some of layersOf(places.filter(({ takesNull }) => takesNull)))
        for (const mode of itsModes) {
          const values = merged(
            mode,
            valuesWith(some, () => null),
          );
          assert.ok((await renderMeanwhile(chart, { values, apis: ['monitoring.coreos.com/v1'] })).length > 8);
        }
    });
  });
