import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

import { describeError, Fault } from './fault.ts';

const require = createRequire(import.meta.url);

/**
 * Generates, in parallel, the Prisma clients whose schema has changed.
 * @param folder holds a folder with a schema.prisma for each client
 * @returns the names of those generated now
 */
export async function generateClients(
  folder: string = fileURLToPath(new URL('../prisma', import.meta.url)),
): Promise<string[]> {
  const manifest = require.resolve('prisma/package.json');
  const version = readFileSync(manifest, 'utf8');
  const stale = readdirSync(folder)
    .filter((name) => existsSync(join(folder, name, 'schema.prisma')))
    .map((name) => {
      const schema = join(folder, name, 'schema.prisma');
      const stamp = createHash('sha256').update(version).update(readFileSync(schema)).digest('hex');
      return { name, schema, stamp, stampFile: join(folder, name, 'client', '.stamp') };
    })
    .filter(({ stamp, stampFile }) => !existsSync(stampFile) || readFileSync(stampFile, 'utf8') !== stamp);
  await Promise.all(
    stale.map(async ({ schema, stamp, stampFile }) => {
      await generate(join(dirname(manifest), 'build/index.js'), schema);
      writeFileSync(stampFile, stamp);
    }),
  );
  return stale.map(({ name }) => name);
}

async function generate(program: string, schema: string): Promise<void> {
  const child = spawn(process.execPath, [program, 'generate', '--schema', schema, '--no-hints'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      // The generator needs no schema engine, but Prisma downloads one unless it gets the path of a program.
      PRISMA_SCHEMA_ENGINE_BINARY: process.execPath,
      CHECKPOINT_DISABLE: '1',
      PRISMA_HIDE_UPDATE_MESSAGE: '1',
    },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
  const code = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) throw new Fault(`No Prisma client could be generated from ${schema}:\n${output.trim()}`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  try {
    const names = await generateClients();
    console.log(names.length === 0 ? 'The Prisma clients are up to date.' : `Generated ${names.join(', ')}.`);
  } catch (error) {
    console.error(describeError(error));
    process.exitCode = 1;
  }
}
