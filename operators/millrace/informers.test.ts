import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { it } from 'node:test';
import { Registry } from 'prom-client';
import { parse } from 'yaml';
import { Api } from '#runtime/api.ts';
import { systemClock } from '#runtime/clock.ts';
import { connectionTo } from '#runtime/connection.ts';
import { RuntimeMetrics } from '#runtime/metrics.ts';
import { memoryLog } from '#runtime/testing/support.ts';
import { createInformers } from './informers.ts';

const rbac = new URL('../../charts/millrace-operator/files/rbac.yaml', import.meta.url);

interface Rule {
  apiGroups: string[];
  resources: string[];
  verbs: string[];
}

it('the rights of the chart allow exactly the informers to list and watch', () => {
  const informers = createInformers({
    api: new Api(connectionTo('http://127.0.0.1:1')),
    clock: systemClock,
    log: memoryLog(),
    metrics: new RuntimeMetrics(new Registry()),
    namespaces: undefined,
  });
  const watched = Object.values(informers).map(({ type }) => `${type.group}/${type.plural}`);
  const { rules } = parse(readFileSync(rbac, 'utf8')) as { rules: Rule[] };
  const allowed = rules
    .filter(({ verbs }) => verbs.includes('list') && verbs.includes('watch'))
    .flatMap(({ apiGroups, resources }) => resources.map((resource) => `${apiGroups[0]}/${resource}`));
  assert.deepEqual(watched.toSorted(), allowed.toSorted());
});
