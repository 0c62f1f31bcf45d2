import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { chartOf, exampleOf } from './chart.ts';
import { dashboards } from './dashboards/all.ts';
import { dashboardModel } from './dashboards/panel.ts';
import { readmeOf } from './readme.ts';
import { schemaOf } from './schema.ts';
import { readValues } from './values.ts';

const text = `# The head of the file.

image:
  # Where it is.
  repository: millrace
  # @schema {enum: [Always, Never]}
  # When it is
  # pulled.
  pullPolicy: Always
# @schema {type: [integer, 'null'], minimum: 0}
# Pods.
replicas: 2
# @schema {$ref: "#/$defs/resources"}
# CPU | memory.
resources:
  limits: { memory: 1Gi }
`;

describe('the files generated from values.yaml', () => {
  test('are a schema that refuses unknown keys, and wants each one that may not be null', () => {
    const { properties, additionalProperties, required } = schemaOf('demo', readValues(text));
    assert.deepEqual(properties, {
      image: {
        type: 'object',
        properties: {
          repository: { description: 'Where it is.', type: 'string' },
          pullPolicy: { description: 'When it is pulled.', type: 'string', enum: ['Always', 'Never'] },
        },
        additionalProperties: false,
        required: ['repository', 'pullPolicy'],
      },
      replicas: { description: 'Pods.', type: ['integer', 'null'], minimum: 0 },
      resources: { $ref: '#/$defs/resources' },
      global: (properties as { global: unknown }).global,
    });
    assert.deepEqual([additionalProperties, required], [false, ['image', 'resources']]);
  });

  test('are a schema of differences, which need not be complete', () => {
    const values = readValues('# A.\ndefaults:\n  # B.\n  b: 1\n  c:\n    # D.\n    d: x\n');
    const { $defs } = schemaOf('demo', values) as { $defs: Record<string, object> };
    assert.deepEqual($defs['service'], {
      type: ['object', 'null'],
      properties: {
        b: { description: 'B.', type: 'integer' },
        c: { type: 'object', properties: { d: { description: 'D.', type: 'string' } }, additionalProperties: false },
      },
      additionalProperties: false,
    });
  });

  test('have patterns by name, which may take empty text', () => {
    const pattern = (is: string) =>
      (
        schemaOf('demo', readValues(`# @schema {is: "${is}"}\n# A.\na: x\n`)) as {
          properties: { a: { pattern: string } };
        }
      ).properties.a.pattern;
    const takes = (is: string, value: string) => new RegExp(pattern(is)).test(value);
    for (const one of ['1', '0.5', '100m', '10Gi', '1e3', '5E', '.5']) assert.ok(takes('quantity', one), one);
    for (const one of ['', 'lots', '10Gib', '1g', '-1']) assert.ok(!takes('quantity', one), one);
    assert.ok(takes('quantity?', '') && takes('quantity?', '1Gi') && !takes('quantity?', 'x'));
    for (const one of ['10.0.0.0/8', '::/0', 'fd00::/8']) assert.ok(takes('cidr', one), one);
    for (const one of ['10.0.0.1', 'example.com/8', '']) assert.ok(!takes('cidr', one), one);
    assert.throws(() => pattern('amount'), /no pattern is called amount/);
  });

  test('are a table in the README, below its mark', () => {
    const readme = readmeOf('# demo\n\n<!-- values -->\nold', readValues(text));
    assert.ok(readme.startsWith('# demo\n\n<!-- values -->\n\n| value |'));
    assert.ok(!readme.includes('old'));
    assert.ok(readme.includes('| `image.pullPolicy` | `"Always"` | When it is pulled. |'));
    assert.ok(readme.includes('CPU \\| memory.'));
    assert.throws(() => readmeOf('# demo', []), /has no <!-- values -->/);
  });

  test('need a comment on each key', () => {
    assert.throws(() => readValues('a: 1\n'), /a has no comment/);
    assert.throws(() => readValues('# A.\na:\n  # B.\n  b: 1\n  c: 2\n'), /a\.c has no comment/);
    assert.throws(() => readValues('# @schema {enum: [}\n# A.\na: 1\n'), /@schema of a is not readable/);
  });
});

test('panels of a dashboard do not overlap, and each has a query', () => {
  for (const dashboard of Object.values(dashboards).flatMap(Object.values)) {
    const { panels } = dashboardModel(dashboard) as {
      panels: {
        id: number;
        type: string;
        title: string;
        gridPos: { x: number; y: number; w: number; h: number };
        targets?: [];
      }[];
    };
    const taken = new Set<string>();
    for (const { type, title, gridPos, targets } of panels) {
      if (type !== 'row') assert.ok(targets!.length > 0, title);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++)
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          assert.ok(x < 24 && !taken.has(`${x},${y}`), title);
          taken.add(`${x},${y}`);
        }
    }
    assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
  }
});

test('the version of a chart is that of package.json, and so is that of the examples', () => {
  assert.equal(
    exampleOf("targetRevision: '>=0.1.0'\nhelm:\nref: { tag: 0.1.0 }\nimage: { repository: a }\n", '1.2.3-rc.1'),
    'targetRevision: 1.2.3-rc.1\nhelm:\nref: { tag: 1.2.3-rc.1 }\nimage: { repository: a }\n',
  );
  const before = 'apiVersion: v2\nname: demo\nversion: 0.1.0\nappVersion: 0.1.0\nkubeVersion: ">=1.31.0-0"\n';
  assert.equal(
    chartOf(before, '1.2.3-rc.1'),
    'apiVersion: v2\nname: demo\nversion: 1.2.3-rc.1\nappVersion: 1.2.3-rc.1\nkubeVersion: ">=1.31.0-0"\n',
  );
});
