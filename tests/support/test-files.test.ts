import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';

import { canShare, testFiles } from './test-files.ts';

describe('a test file can share a process', () => {
  const folder = mkdtempSync(join(tmpdir(), 'test-files-'));
  after(() => rmSync(folder, { recursive: true }));

  const write = (name: string, source: string): string => {
    const file = join(folder, name);
    writeFileSync(file, source);
    return file;
  };

  it('if it only computes', () => {
    write('code.ts', 'export const pid = process.pid;\n');
    assert.ok(canShare(write('pure.test.ts', "import { pid } from './code.ts';\nimport { join } from 'node:path';\n")));
  });

  it('unless it names what changes or measures a process, starts one, or uses the network', () => {
    for (const source of [
      'delete process.env.HOME;',
      "t.mock.method(console, 'log');",
      'globalThis.fetch = fake;',
      "import { registry } from '#platform/telemetry';",
      "import { spawn } from 'node:child_process';",
      "import { connect } from 'node:net';",
      "import kafkajs from 'kafkajs';",
    ])
      assert.ok(!canShare(write('own.test.ts', source)), source);
  });

  it('unless a helper of tests does, which another one may import', () => {
    mkdirSync(join(folder, 'testing'));
    write('testing/draw.ts', 'export const draw = () => 4;\n');
    write('testing/server.ts', "import { createServer } from 'node:net';\n");
    write('testing.ts', "export * from './testing/draw.ts';\nexport * from './testing/server.ts';\n");
    assert.ok(canShare(write('draw.test.ts', "import { draw } from './testing/draw.ts';\n")));
    assert.ok(!canShare(write('server.test.ts', "import { draw } from './testing.ts';\n")));
    assert.ok(!canShare(write('database.test.ts', "import { createTestDatabase } from '#test/database.ts';\n")));
  });

  it('and each is in one of both lists', () => {
    const { sharing, others } = testFiles();
    assert.equal(new Set([...sharing, ...others]).size, sharing.length + others.length);
    assert.ok(others.some((file) => file.endsWith('/tests/support/test-files.test.ts')));
    assert.ok(sharing.some((file) => file.endsWith('/platform/http/page.test.ts')));
  });
});
