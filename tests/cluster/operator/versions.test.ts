import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { request } from 'undici';
import { ApiError } from '#runtime/errors.ts';
import { pathOf } from '#runtime/objects.ts';
import type { Resource, ResourceType } from '#runtime/objects.ts';
import { eventually } from '#test/eventually.ts';
import { allowSeconds } from '#test/time-limit.ts';
import { deprecatedVersions, group, version } from '../../../operators/millrace/api/common.ts';
import { eventServices, streamQueries } from '../../../operators/millrace/api/kinds.ts';
import { needsCluster, testNamespace } from './cluster.ts';
import type { TestNamespace } from './cluster.ts';
import { crds, declaredCrds, installCrd } from './crds.ts';
import type { Crd } from './crds.ts';

allowSeconds(600); // a cluster is slow

/** The commands of a section of docs/operator.md. */
function documented(section: string): string {
  const text = readFileSync(new URL('../../../docs/operator.md', import.meta.url), 'utf8');
  return new RegExp(`## ${section}\n[^]*?\`\`\`sh\n([^]*?)\`\`\``).exec(text)![1]!;
}

describe('the versions of the API', needsCluster, () => {
  let home: TestNamespace;
  /** A group of this test: other tests use the CRDs of Millrace at the same time. */
  const own = `v${randomBytes(4).toString('hex')}.${group}`;
  const ownCrds = declaredCrds().map((crd) => JSON.parse(JSON.stringify(crd).replaceAll(group, own)) as Crd);
  const [alpha] = deprecatedVersions;
  const of = (type: ResourceType, name: string): ResourceType => ({ ...type, group: own, version: name });
  const create = (type: ResourceType, name: string, spec: object) =>
    home.api.create<Resource>(type, {
      apiVersion: `${type.group}/${type.version}`,
      kind: type.kind,
      metadata: { namespace: home.namespace, name },
      spec,
    });
  const storedVersions = async ({ metadata }: Crd) =>
    (await home.api.get<Crd>(crds, undefined, metadata.name))?.status?.storedVersions;

  before(async () => {
    home = await testNamespace();
    // as an operator of 0.1 has installed them: with one version, which is the stored one
    for (const crd of ownCrds) {
      const { deprecated: _, deprecationWarning: _w, ...old } = crd.spec.versions.find(({ name }) => name === alpha)!;
      await installCrd(home.api, { ...crd, spec: { ...crd.spec, versions: [{ ...old, storage: true }] } });
    }
    const service = { port: 1, postgresql: { superuserSecret: 'superuser' } };
    const query = { from: [{ topic: 't' }], window: { tumbling: '1h' } };
    await create(of(eventServices, alpha), 'old', service);
    await create(of(streamQueries, alpha), 'old', query);
    for (const crd of ownCrds) await installCrd(home.api, crd);
    await eventually(async () => {
      try {
        return await home.api.get(of(streamQueries, version), home.namespace, 'old');
      } catch (error) {
        if (error instanceof ApiError) return undefined; // it is not served yet
        throw error;
      }
    }, 'the new version is served');
  });
  after(async () => {
    for (const crd of ownCrds) await home.api.delete(crds, undefined, crd.metadata.name);
    await home.close();
  });

  it('show each other’s resources, and lose nothing of them', async () => {
    for (const type of [eventServices, streamQueries]) {
      const old = await home.api.get<Resource>(of(type, alpha), home.namespace, 'old');
      const now = await home.api.get<Resource>(of(type, version), home.namespace, 'old');
      assert.equal(now?.apiVersion, `${own}/${version}`);
      assert.deepEqual(now?.spec, old?.spec);
    }
    // what a chart of this version applies, as a tool that still uses the old version sees it
    const made = await create(of(eventServices, version), 'new', {
      port: 1,
      postgresql: { superuserSecretRef: { name: 'superuser' } },
    });
    const seen = await home.api.get<Resource>(of(eventServices, alpha), home.namespace, 'new');
    assert.deepEqual(seen?.spec, made.spec);
    // and a chart of 0.1, whose operator is newer
    const changed = { port: 2, postgresql: { superuserSecret: 'superuser' } };
    await home.api.patch(of(eventServices, alpha), home.namespace, 'old', { spec: changed });
  });

  it('warn of the deprecated one alone', async () => {
    const warningOf = async (name: string) => {
      const { connection, namespace } = home;
      const url = connection.server + pathOf(of(eventServices, name), namespace, 'old');
      const options = { dispatcher: connection.requests, headers: await connection.headers() };
      const { headers, body } = await request(url, options);
      await body.dump();
      return headers['warning'];
    };
    assert.match(String(await warningOf(alpha)), /v1alpha1 EventService is deprecated; use .*\/v1beta1/);
    assert.equal(await warningOf(version), undefined);
  });

  it('end when the documented commands have stored everything in the new one', async () => {
    const only = (crd: Crd) => ({
      ...crd,
      spec: { ...crd.spec, versions: crd.spec.versions.filter(({ name }) => name === version) },
    });
    for (const crd of ownCrds) assert.deepEqual(await storedVersions(crd), [alpha, version]);
    await assert.rejects(installCrd(home.api, only(ownCrds[0]!)), /storedVersions/);

    const commands = documented('Versions').replaceAll(group, own);
    await promisify(execFile)('bash', ['-euo', 'pipefail', '-c', commands]);

    for (const crd of ownCrds) {
      assert.deepEqual(await storedVersions(crd), [version]);
      await installCrd(home.api, only(crd));
    }
    // it was stored in the new version: nothing could read it otherwise
    const { spec } = (await home.api.get<Resource<{ port: number }>>(
      of(eventServices, version),
      home.namespace,
      'old',
    ))!;
    assert.equal(spec.port, 2);
  });
});
