import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';

import { Fault } from './fault.ts';
import { lockFolder } from './lock.ts';
import { endChild, endOrphan, runningPid, writePidFile, writePidFileOf } from './process.ts';

const folder = mkdtempSync(join(tmpdir(), 'millrace-process-'));

/** A process that prints when it is ready, and optionally ignores SIGTERM. */
async function sleeper(stubborn = false): Promise<ChildProcess & { pid: number }> {
  const code = `${stubborn ? "process.on('SIGTERM', () => {});" : ''} setInterval(() => {}, 1000); console.log('ready')`;
  const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  return child as ChildProcess & { pid: number };
}

describe('pid files', () => {
  after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'x.pid');

  test('an orphan is found and ended', async () => {
    const child = await sleeper();
    writePidFile(file, child.pid);
    assert.equal(runningPid(file), child.pid);
    assert.equal(await endOrphan(file, 'SIGTERM', 5_000), true);
    assert.equal(runningPid(file), undefined);
    assert.ok(!existsSync(file));
    assert.equal(await endOrphan(file, 'SIGTERM', 5_000), false);
  });

  test('another process that has the id meanwhile is not ended', async () => {
    writeFileSync(file, JSON.stringify({ pid: process.pid, command: 'java kafka.Kafka' }));
    assert.equal(runningPid(file), undefined);
    assert.equal(await endOrphan(file, 'SIGKILL', 5_000), false);
  });

  test('a truncated file counts as none', () => {
    writeFileSync(file, '{"pid":');
    assert.equal(runningPid(file), undefined);
  });

  test('a file is never seen in part', async () => {
    const end = join(folder, 'end');
    writePidFile(file, process.pid);
    const reader = spawn(
      process.execPath,
      [
        '-e',
        `const { existsSync, readFileSync } = require('node:fs');
        const [file, end] = process.argv.slice(1);
        console.log('ready');
        while (!existsSync(end)) JSON.parse(readFileSync(file, 'utf8'));`,
        file,
        end,
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const exited = once(reader, 'exit');
    await once(reader.stdout, 'data');
    for (let time = 0; time < 2_000; time++) writePidFile(file, process.pid);
    writeFileSync(end, '');
    assert.deepEqual(await exited, [0, null]);
  });

  test('a child that ignores the signal is killed', async () => {
    const child = await sleeper(true);
    await endChild(child, 'SIGTERM', 100);
    assert.equal(child.signalCode, 'SIGKILL');
    await endChild(child, 'SIGTERM', 100);
  });

  test('a child whose file cannot be written is ended', async () => {
    const child = await sleeper();
    await assert.rejects(writePidFileOf(child, child.pid, join(folder, 'missing/x.pid')), { code: 'ENOENT' });
    assert.equal(child.signalCode, 'SIGTERM');
  });

  test('a folder is locked once, and again after its holder has ended', async () => {
    const lock = join(folder, 'runner.pid');
    const unlock = lockFolder(folder);
    assert.throws(
      () => lockFolder(folder),
      (error) => error instanceof Fault && error.message.includes(`process ${process.pid}`),
    );
    unlock();
    assert.ok(!existsSync(lock));

    const child = await sleeper();
    writePidFile(lock, child.pid);
    await endChild(child, 'SIGKILL', 100);
    const unlockAgain = lockFolder(folder);
    assert.match(readFileSync(lock, 'utf8'), new RegExp(`"pid":${process.pid}`));
    unlockAgain();
  });

  test('a folder that cannot be written is reported in a sentence', () => {
    writeFileSync(join(folder, 'file'), '');
    assert.throws(
      () => lockFolder(join(folder, 'file/data')),
      (error) => error instanceof Fault && error.message.endsWith('cannot be written: a part of its path is a file.'),
    );
  });
});
