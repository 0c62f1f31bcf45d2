import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { streamQueryFiles } from '#platform/declarations';
import { StreamQuerySchema } from './schema.ts';

interface Node {
  description?: string;
  properties?: Record<string, Node>;
  items?: Node;
}

/** The fields below a schema that have no description. */
function undescribed(node: Node, path = ''): string[] {
  const members = Object.entries(node.properties ?? {}).map(([name, child]) => [`${path}${name}`, child] as const);
  const items = node.items ? undescribed(node.items, `${path}[].`) : [];
  return [
    ...members.flatMap(([name, child]) => [...(child.description ? [] : [name]), ...undescribed(child, `${name}.`)]),
    ...items,
  ];
}

describe('the JSON Schema of stream queries', () => {
  it('says of every field what it is', () => {
    assert.deepEqual(undescribed(StreamQuerySchema as Node), []);
  });

  it('is named by every query file, so that editors find it', () => {
    for (const { file, text } of streamQueryFiles()) {
      assert.ok(text.startsWith('# yaml-language-server: $schema=../stream-query.schema.json\n'), file);
    }
  });
});
