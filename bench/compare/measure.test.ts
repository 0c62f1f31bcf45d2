import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';

import { commandOf, isAlive } from '#local/process.ts';

import { measurePairs } from './measure.ts';
import { parseOptions } from './options.ts';

/** A separate repository with a fast bench. */
class Repository {
  readonly root = realpathSync(mkdtempSync(join(tmpdir(), 'millrace-compare-test-')));

  constructor(t: TestContext, bench: string) {
    t.after(() => rmSync(this.root, { recursive: true, force: true }));
    const scripts = { generate: 'node -e 0', 'bench:start': 'exec node bench.js' };
    this.write('package.json', JSON.stringify({ scripts }));
    this.write('package-lock.json', '{}');
    this.write('.gitignore', '.millrace/\n');
    this.write('bench.js', bench);
    this.git('init', '--quiet');
    this.git('add', '.');
    this.git('-c', 'user.name=a', '-c', 'user.email=a@example.com', 'commit', '--quiet', '-m', 'First');
  }

  write(file: string, text: string): void {
    writeFileSync(join(this.root, file), text);
  }

  git(...args: string[]): string {
    return execFileSync('git', args, { cwd: this.root, encoding: 'utf8' }).trim();
  }

  async measure(options: { say?: (line: string) => void; signal?: AbortSignal; pairs?: number } = {}) {
    const { say = () => undefined, signal = new AbortController().signal, pairs = 1 } = options;
    return await measurePairs(this.root, parseOptions(['HEAD', 'start', '--pairs', String(pairs)]), { say, signal });
  }

  assertClean(): void {
    assert.equal(this.git('worktree', 'list').split('\n').length, 1);
    assert.equal(existsSync(join(this.root, '.millrace/compare')), false);
  }
}

const bench = (seconds: string): string => `console.log(JSON.stringify({ secondsFresh: ${seconds} }));`;

describe('a comparison', () => {
  test('measures the commit and the working tree in turn', async (t) => {
    const repository = new Repository(t, bench('2'));
    repository.write('bench.js', bench('3'));
    const said: string[] = [];
    const { pairs, error } = await repository.measure({ pairs: 2, say: (line) => said.push(line) });
    assert.equal(error, undefined);
    const seconds = pairs.map((pair) => [pair.old, pair.new].map(({ figures }) => figures.get('secondsFresh')));
    assert.deepEqual(seconds, [
      [2, 3],
      [2, 3],
    ]);
    assert.match(said[0]!, /^old: [0-9a-f]{7,} \(First\)\nnew: the working tree$/);
    assert.deepEqual(
      said.filter((line) => line.startsWith('pair')).map((line) => line.replace(/ \(took \d+ s\)/, '')),
      [
        'pair 1 of 2, old: secondsFresh 2',
        'pair 1 of 2, new: secondsFresh 3',
        'pair 2 of 2, new: secondsFresh 3',
        'pair 2 of 2, old: secondsFresh 2',
      ],
    );
    repository.assertClean();
  });

  test('ends with the output of a bench that failed, and keeps the pairs before it', async (t) => {
    const repository = new Repository(t, bench('2'));
    // the short run and the first pair succeed
    repository.write(
      'bench.js',
      `const { existsSync, writeFileSync } = require('node:fs');
       const runs = [1, 2].filter((n) => existsSync('run' + n)).length;
       writeFileSync('run' + (runs + 1), '');
       if (runs < 2) console.log(JSON.stringify({ secondsFresh: 3 })); else throw new Error('no port is free');`,
    );
    const { pairs, error } = await repository.measure({ pairs: 2 });
    assert.equal(pairs.length, 1);
    assert.match(String(error), /bench:start failed for new, the working tree, with exit code 1:[^]*no port is free/);
    repository.assertClean();
  });

  test('refuses an unknown commit, and a commit without the bench', async (t) => {
    const repository = new Repository(t, bench('2'));
    const measure = async (...given: string[]) =>
      await measurePairs(repository.root, parseOptions(given), {
        say: () => undefined,
        signal: new AbortController().signal,
      });
    await assert.rejects(measure('v9', 'start'), /git knows no commit "v9"/);
    await assert.rejects(measure('HEAD', 'flow'), /^Fault: [0-9a-f]+ \(First\) has no bench:flow\.$/);
    repository.assertClean();
  });

  test('leaves neither a process nor a worktree when it is stopped', async (t) => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    const { port } = server.address() as AddressInfo;
    // like the broker, its child has its own process group
    const repository = new Repository(
      t,
      `const { pid } = require('node:child_process').spawn('sleep', ['600'], { detached: true });
       require('node:net').connect(${port}, '127.0.0.1').write(pid + '\\n');`,
    );
    const stopped = new AbortController();
    const measured = repository.measure({ signal: stopped.signal });
    const [socket] = (await once(server, 'connection')) as [Socket];
    const [bytes] = (await once(socket, 'data')) as [Buffer];
    const pid = Number(bytes);
    t.after(() => isAlive(pid) && process.kill(pid));
    assert.match(commandOf(pid)!, /sleep/);
    stopped.abort(new Error('Ctrl-C'));
    assert.match(String((await measured).error), /Ctrl-C/);
    assert.equal(commandOf(pid), undefined);
    repository.assertClean();
  });

  test('removes the remains of a killed comparison, and does not disturb a running one', async (t) => {
    const repository = new Repository(t, bench('2'));
    repository.git('worktree', 'add', '--quiet', '--detach', '.millrace/compare/old', 'HEAD');
    repository.write('.millrace/compare/owner.pid', JSON.stringify({ pid: process.pid, command: 'another' }));
    let during: unknown;
    const { error } = await repository.measure({
      say: (line) => {
        if (line.startsWith('pair')) during ??= repository.measure().catch(String);
      },
    });
    assert.equal(error, undefined);
    assert.match(String(await during), /Another comparison is running \(process \d+\)/);
    repository.assertClean();
  });
});
