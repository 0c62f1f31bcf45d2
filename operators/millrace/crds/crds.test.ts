import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { describe, it } from 'node:test';
import { Compile } from 'typebox/compile';
import type { TSchema } from 'typebox';
import { parse } from 'yaml';
import { declarationsDir, eventServices, streamQueryFiles } from '#platform/declarations';
import { EventServiceSpec } from '#platform/declaration-schema';
import { streamQueryDefinition } from '../api/stream-query.ts';
import { definitions } from '../api/kinds.ts';
import { crdsDir, generatedFiles } from './generate.ts';

describe('the CRDs', () => {
  it('are what the types say, as the docs are: npm run charts writes them', async () => {
    for (const [file, text] of await generatedFiles()) assert.equal(readFileSync(file, 'utf8'), text, file);
    assert.equal(readdirSync(crdsDir).length, definitions.length);
  });

  it('describe every field', () => {
    const undescribed: string[] = [];
    const walk = (schema: Record<string, unknown>, path: string) => {
      const { properties, items } = schema as {
        properties?: Record<string, Record<string, unknown>>;
        items?: Record<string, unknown>;
      };
      for (const [name, inner] of Object.entries(properties ?? {})) {
        if (!inner['description'] && !/^(metadata|apiVersion|kind|spec|status)$/.test(name))
          undescribed.push(`${path}.${name}`);
        walk(inner, `${path}.${name}`);
      }
      if (items) walk(items, `${path}[]`);
    };
    for (const { kind, status } of definitions) walk(status as unknown as Record<string, unknown>, `${kind}.status`);
    walk(EventServiceSpec as unknown as Record<string, unknown>, 'EventService.spec');
    const plain = undescribed.filter((path) => !/\.(name|group|status)$/.test(path));
    assert.deepEqual(plain, []);
  });

  it('accept the declarations that the local run reads', () => {
    const accepts = (schema: TSchema, value: unknown, what: string) => {
      const faults = Compile(schema).Errors(value);
      assert.deepEqual(
        faults.map(({ instancePath, message }) => `${instancePath} ${message}`),
        [],
        what,
      );
    };
    const services = eventServices();
    assert.ok(services.length > 0, declarationsDir);
    for (const { metadata, spec } of services) accepts(EventServiceSpec, spec, metadata.name);
    for (const { file, text } of streamQueryFiles()) {
      accepts(streamQueryDefinition.spec, (parse(text) as { spec: unknown }).spec, file);
    }
  });
});
