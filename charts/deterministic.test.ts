import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { chartFolder, renderText, withoutHelm } from './testing.ts';

// Argo CD, Flux and Tilt render a chart again and again, without a cluster, and apply each difference.

/** Functions that give something else each time: https://helm.sh/docs/chart_template_guide/function_list/ */
const changing =
  /\b(rand\w+|gen(PrivateKey|CA|CAWithKey|SelfSignedCert\w*|SignedCert\w*)|uuidv4|now|ago|shuffle|htpasswd|bcrypt|encryptAES|getHostByName)\b/;
const everything = { monitoring: { dashboardConfigMaps: true } };
const permutations: [string, object][] = [
  ['millrace', {}],
  ['millrace', { ...everything, gateway: { ingress: { enabled: true } }, kafka: { replicas: 3 } }],
  ['millrace', { postgresql: { mode: 'cloudnative-pg' } }],
  [
    'millrace',
    {
      postgresql: { mode: 'external', external: { existingSecret: 'server', cidrs: ['10.0.0.0/8'] } },
      mail: { smtpUrl: 'smtp://m' },
    },
  ],
  ['millrace-operator', {}],
  ['millrace-operator', { ...everything, watchNamespaces: ['shop', 'lab'] }],
];

test('no template of a chart makes anything up, and only those of _cluster.tpl ask a cluster', () => {
  for (const chart of ['millrace', 'millrace-operator']) {
    const folder = join(chartFolder(chart), 'templates');
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
      /\.(yaml|tpl|txt)$/.test(name),
    );
    assert.ok(files.length > 3);
    for (const name of files) {
      const actions = readFileSync(join(folder, name), 'utf8').match(/\{\{[\s\S]*?\}\}/g) ?? [];
      for (const action of actions.filter((text) => !/^\{\{-?\s*\/\*/.test(text))) {
        // a word in a text for people is no function
        const code = action.replaceAll(/"(\\.|[^"\\])*"/g, '""');
        assert.doesNotMatch(code, changing, `${chart}/templates/${name}`);
        if (name !== '_cluster.tpl') assert.doesNotMatch(code, /\blookup\b/, `${chart}/templates/${name}`);
      }
    }
  }
});

describe('a chart that is rendered twice', { skip: withoutHelm }, () => {
  for (const [chart, values] of permutations) {
    test(`is the same bytes: ${chart} ${JSON.stringify(values)}`, () => {
      const apis = ['monitoring.coreos.com/v1', 'grafana.integreatly.org/v1beta1'];
      const once = () => renderText(chartFolder(chart), { values, apis });
      const first = once();
      assert.ok(first.length > 1_000);
      assert.ok(first === once());
    });
  }
});
