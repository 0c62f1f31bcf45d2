import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';

import { Fault } from './fault.ts';
import { forgetKafka, startKafka } from './kafka.ts';
import { kindOfData, noteKind, type BrokerKind } from './kafka-kind.ts';

describe('the kind of broker that goes on with a folder', () => {
  /** A data folder, which has the data of a broker without Docker or not. */
  function folderWith(t: TestContext, { log = false }: { log?: boolean } = {}): string {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-kind-'));
    t.after(() => rmSync(folder, { recursive: true }));
    if (log) {
      mkdirSync(join(folder, 'kafka'));
      writeFileSync(join(folder, 'kafka', 'meta.properties'), 'version=1\n');
    }
    return folder;
  }

  it('is any where there is no data', (t) => {
    assert.equal(kindOfData(folderWith(t), false), undefined);
  });

  it('is that of the data of an earlier release, which has noted none', (t) => {
    const folder = folderWith(t, { log: true });
    assert.equal(kindOfData(folder, false), 'java');
    assert.equal(kindOfData(folder, true), 'docker'); // which that release preferred, too
    assert.equal(kindOfData(folderWith(t), true), 'docker');
  });

  it('is the noted one, whatever else there is', (t) => {
    for (const kind of ['docker', 'java'] satisfies BrokerKind[]) {
      const folder = folderWith(t, { log: true });
      noteKind(folder, kind);
      for (const hasVolume of [true, false]) assert.equal(kindOfData(folder, hasVolume), kind);
    }
  });

  it('is any again when the data is deleted', async (t) => {
    const folder = folderWith(t, { log: true });
    noteKind(folder, 'java');
    await forgetKafka({ folder });
    assert.equal(kindOfData(folder, false), undefined);
  });

  it('is not replaced by another one that happens to be there', async (t) => {
    const programs = folderWith(t);
    const folder = folderWith(t);
    noteKind(folder, 'docker');
    // first in the path: a command line tool whose engine does not answer
    writeFileSync(join(programs, 'docker'), '#!/bin/sh\nexit 1\n');
    chmodSync(join(programs, 'docker'), 0o755);
    const { PATH } = process.env;
    process.env['PATH'] = [programs, PATH].join(delimiter);
    t.after(() => (process.env['PATH'] = PATH));
    const { signal } = new AbortController();
    const options = { folder, cache: folder, port: 1, controllerPort: 2, env: {}, say: () => undefined, signal };
    await assert.rejects(startKafka(options), (error: unknown) => {
      assert.ok(error instanceof Fault);
      assert.match(
        error.message,
        /^Kafka cannot be started: no Docker engine answers\. The events of .* are in Docker;/,
      );
      assert.match(error.hint ?? '', /^Start Docker, or .*--fresh$/);
      return true;
    });
  });
});
