import assert from 'node:assert/strict';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { eventually } from '#test/eventually.ts';
import { QueryFolder } from './query-folder.ts';
import type { Contents } from './query-folder.ts';

describe('a folder of query files', () => {
  let dir: string;
  let folder: QueryFolder;
  let heard: (string[] | undefined)[];

  const textsOf = ({ files }: Contents) => files?.map(({ text }) => text);
  const last = () => JSON.stringify(heard.at(-1));

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'queries-'));
    heard = [];
    folder = new QueryFolder({
      dir,
      read: () =>
        readdirSync(dir)
          .toSorted()
          .map((file) => ({ file, text: readFileSync(join(dir, file), 'utf8') })),
      onChange: (contents) => heard.push(textsOf(contents)),
    });
  });
  afterEach(async () => {
    await folder.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  it('tells of files that come, change and go', async () => {
    folder.start(folder.read());
    writeFileSync(join(dir, 'a'), 'one');
    await eventually(() => last() === '["one"]', 'a file');
    writeFileSync(join(dir, 'a'), 'two');
    writeFileSync(join(dir, 'b'), 'three');
    await eventually(() => last() === '["two","three"]', 'a change');
    rmSync(join(dir, 'a'));
    await eventually(() => last() === '["three"]', 'a removal');
  });

  it('takes no half-written file for a whole one', async () => {
    folder.start(folder.read());
    const file = openSync(join(dir, 'a'), 'w');
    for (let i = 0; i < 10; i++) {
      writeSync(file, `${i}`);
      const until = performance.now() + 30;
      await eventually(() => performance.now() > until, 'the next write');
    }
    closeSync(file);
    await eventually(() => heard.length > 0, 'a file');
    assert.deepEqual(heard, [['0123456789']]);
  });

  it('says nothing where everything is as before', async () => {
    writeFileSync(join(dir, 'a'), 'one');
    folder.start(folder.read());
    writeFileSync(join(dir, 'a'), 'one');
    writeFileSync(join(dir, 'b'), 'two');
    await eventually(() => heard.length > 0, 'a file');
    assert.deepEqual(heard, [['one', 'two']]);
  });

  it('finds a folder again that was away', async () => {
    writeFileSync(join(dir, 'a'), 'one');
    folder.start(folder.read());
    rmSync(dir, { recursive: true });
    await eventually(() => heard.length > 0, 'the loss');
    assert.deepEqual(heard, [undefined]);
    mkdirSync(dir);
    writeFileSync(join(dir, 'a'), 'two');
    await eventually(() => last() === '["two"]', 'the folder');
  });
});
