import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

import { importFaults } from './imports.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const rules = JSON.parse(readFileSync(join(root, '.dependency-cruiser.json'), 'utf8')) as {
  forbidden: { name: string; comment: string }[];
};

/** A deliberate violation of each rule: the file, its import, and the correct import, if there is one. */
const violations: Record<string, { file: string; imports: string; right?: string }> = {
  'platform-imports-no-other-folder': { file: 'platform/outbox/a.ts', imports: '#contracts/index.ts' },
  'streams-imports-platform-alone': {
    file: 'streams/engine/a.ts',
    imports: '#contracts/index.ts',
    right: '#platform/outbox',
  },
  'operators-import-platform-and-the-language-of-streams': {
    file: 'operators/millrace/a.ts',
    imports: '#streams/engine',
    right: '#streams/language',
  },
  'the-runtime-of-operators-knows-no-kind': { file: 'operators/runtime/a.ts', imports: '../millrace/kind.ts' },
  'contracts-import-platform-and-the-contract-of-streams': {
    file: 'services/contracts/a.ts',
    imports: '../users/main.ts',
    right: '#streams/contract',
  },
  'a-service-imports-no-other-service': {
    file: 'services/orders/commands/a.ts',
    imports: '../../users/main.ts',
    right: '#contracts/index.ts',
  },
  'a-service-imports-platform-streams-and-contracts': {
    file: 'services/users/a.ts',
    imports: '#local/ports.ts',
    right: '#platform/outbox',
  },
  'one-public-interface-a-folder': {
    file: 'services/users/a.ts',
    imports: '#platform/outbox/relay.ts',
    right: '#platform/outbox',
  },
  'only-the-adapter-imports-kafkajs': {
    file: 'services/users/a.ts',
    imports: 'kafkajs',
    right: '#platform/kafka',
  },
  'no-circle': { file: 'services/users/main.ts', imports: './b.ts' },
  'what-is-imported-exists': { file: 'services/users/a.ts', imports: '#platform/nothing' },
};

const others = [
  'platform/kafka/index.ts',
  'platform/outbox/index.ts',
  'platform/outbox/relay.ts',
  'streams/language/index.ts',
  'streams/engine/index.ts',
  'streams/contract/index.ts',
  'operators/millrace/kind.ts',
  'services/contracts/index.ts',
  'services/users/main.ts',
  'local/ports.ts',
];

describe('the directions of imports', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-imports-'));
    for (const name of ['package.json', '.dependency-cruiser.json']) cpSync(join(root, name), join(folder, name));
    for (const file of others) write(file, '');
    write('services/users/b.ts', "import './main.ts';\n");
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  function write(file: string, text: string): void {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), `${text}export const value = 1;\n`);
  }

  /** The violations of a file with that import. */
  async function said(file: string, imports: string): Promise<string> {
    write(file, `import '${imports}';\n`);
    const faults = await importFaults(folder);
    if (others.includes(file)) write(file, '');
    else rmSync(join(folder, file));
    return faults.join('\n');
  }

  for (const { name, comment } of rules.forbidden) {
    it(`${name}: a violation is refused with a sentence`, async () => {
      const { file, imports, right } = violations[name] ?? assert.fail(`no test violates ${name}`);
      const output = await said(file, imports);
      assert.ok(output.includes(`(${name})`), output);
      assert.ok(output.includes(comment), output);
      if (right !== undefined) assert.equal(await said(file, right), '');
    });
  }
});
