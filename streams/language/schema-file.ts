// The JSON Schema with which editors complete and check query files. In `npm run check` this program fails if the file does
// not match the language, or if a declared query has a mistake; `--write` writes the file.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { streamQueryFiles } from '#platform/declarations';
import { messageOf } from '#platform/errors';
import { loadQueries } from './load.ts';
import { StreamQuerySchema } from './schema.ts';
import { queryTopics } from './topics.ts';

const file = fileURLToPath(new URL('../../charts/millrace/files/stream-query.schema.json', import.meta.url));
const $schema = 'https://json-schema.org/draft/2020-12/schema';
const current = `${JSON.stringify({ $schema, ...StreamQuerySchema }, undefined, 2)}\n`;

if (process.argv.includes('--write')) {
  writeFileSync(file, current);
  console.log(`${file} is written`);
} else if (readFileSync(file, 'utf8') === current) {
  try {
    const queries = loadQueries(streamQueryFiles(), queryTopics());
    console.log(`The JSON Schema of stream queries is up to date; ${queries.length} queries are valid`);
  } catch (error) {
    console.error(messageOf(error));
    process.exitCode = 1;
  }
} else {
  console.error(`${file} differs from streams/language/schema.ts: npm run query:schema writes it`);
  process.exitCode = 1;
}
