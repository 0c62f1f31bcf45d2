import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** The names of the migrations below a schema's folder, in the order in which they are applied. */
export function migrationNames(schemaFolder: string): string[] {
  const folder = join(schemaFolder, 'migrations');
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .toSorted();
}
