// Checks the imports of all folders against the rules of .dependency-cruiser.json.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

import { cruise, type ICruiseResult } from 'dependency-cruiser';

const FOLDERS = ['platform', 'streams', 'services', 'operators', 'local', 'charts', 'k8s'];

interface Rules {
  forbidden: { name: string; comment: string }[];
  options: object;
}

/**
 * Finds imports that violate a rule.
 * @param root of the checkout
 * @returns a sentence each, with what to do instead
 */
export async function importFaults(root: string): Promise<string[]> {
  const rules = JSON.parse(readFileSync(join(root, '.dependency-cruiser.json'), 'utf8')) as Rules;
  const { output } = await cruise(
    FOLDERS.filter((folder) => existsSync(join(root, folder))),
    {
      ...rules.options,
      ruleSet: { forbidden: rules.forbidden as [] },
      validate: true,
      baseDir: root,
    },
  );
  return (output as ICruiseResult).summary.violations.map(({ rule, from, to }) => {
    const { comment = '' } = rules.forbidden.find(({ name }) => name === rule.name) ?? {};
    return `${from} imports ${to} (${rule.name})\n    ${comment}`;
  });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const faults = await importFaults(fileURLToPath(new URL('..', import.meta.url)));
  console.log(faults.length === 0 ? 'Imports go one way' : `Imports break a rule:\n  ${faults.join('\n  ')}`);
  process.exitCode = faults.length === 0 ? 0 : 1;
}
