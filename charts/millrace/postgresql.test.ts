import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';

import { find, render, withoutHelm } from '../testing.ts';

describe('the start of the bundled PostgreSQL', { skip: withoutHelm }, () => {
  const { command } = withoutHelm
    ? { command: [] }
    : find(render('millrace'), 'StatefulSet', 'postgresql')['spec'].template.spec.containers[0];
  const image = (PGDATA: string | undefined, ...volumes: string[]) => ({ PGDATA, volumes });

  /** Runs the command in a folder that stands for the container's /var/lib/postgresql, with an image's PGDATA and volumes. */
  function start(t: TestContext, { PGDATA, volumes }: { PGDATA: string | undefined; volumes: string[] }) {
    const root = mkdtempSync(join(tmpdir(), 'millrace-postgresql-'));
    t.after(() => rmSync(root, { recursive: true }));
    const disk = join(root, 'var/lib/postgresql');
    mkdirSync(disk, { recursive: true });
    mkdirSync(join(root, 'bin'));
    for (const [name, does] of [
      ['flock', ''],
      ['docker-entrypoint.sh', 'echo "started: $*"'],
    ] as const) {
      writeFileSync(join(root, 'bin', name), `#!/bin/sh\n${does}\n`);
      chmodSync(join(root, 'bin', name), 0o755);
    }
    const mounts = ['/', '/proc', disk, '/dev/shm', ...volumes.map((volume) => join(root, volume))];
    // as proc_pid_mountinfo(5) has it: the fourth field is the folder of the other file system
    const lines = mounts.map(
      (at, id) => `${id} 1 8:1 /var/lib/postgresql/data ${at} rw,relatime - ext4 /dev/sda1 rw\n`,
    );
    writeFileSync(join(root, 'mountinfo'), lines.join(''));
    const script = (command[2] as string)
      .replaceAll('/var/lib/postgresql', disk)
      .replaceAll('/proc/self/mountinfo', join(root, 'mountinfo'));
    const { stdout, stderr, status } = spawnSync('bash', ['-c', script, 'postgres', '-c', 'a=b'], {
      encoding: 'utf8',
      env: { PATH: `${join(root, 'bin')}:${process.env['PATH']}`, ...(PGDATA && { PGDATA: join(root, PGDATA) }) },
    });
    return { stdout, stderr: stderr.replaceAll(root, ''), status, hasLock: existsSync(join(disk, 'lock')) };
  }

  for (const [what, one] of [
    ['18', image('/var/lib/postgresql/18/docker')],
    ['later, with another folder', image('/var/lib/postgresql/mine/')],
  ] as const)
    test(`takes an image of PostgreSQL ${what}`, (t) => {
      const { stdout, status, hasLock } = start(t, one);
      assert.deepEqual([stdout, status, hasLock], ['started: postgres -c a=b\n', 0, true]);
    });

  for (const [what, one] of [
    [
      'before 18, whose data is in a volume of the container',
      image('/var/lib/postgresql/data', '/var/lib/postgresql/data'),
    ],
    ['below such a volume', image('/var/lib/postgresql/data/pgdata', '/var/lib/postgresql/data')],
    ['elsewhere', image('/home/postgres/pgdata/data', '/home/postgres/pgdata')],
    ['beside the disk', image('/var/lib/postgresql-data')],
    ['nowhere', image(undefined)],
  ] as const)
    test(`refuses an image ${what}, before it writes anything`, (t) => {
      const { stdout, stderr, status, hasLock } = start(t, one);
      assert.deepEqual([stdout, status, hasLock], ['', 1, false]);
      assert.match(
        stderr,
        /PGDATA of this image is '.*', which is not on the disk at \/var\/lib\/postgresql: the data would/,
      );
      assert.match(stderr, /postgresql\.bundled\.image must be an image of PostgreSQL 18 or later/);
    });
});
