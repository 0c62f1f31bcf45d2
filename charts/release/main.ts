// npm run release: both charts and the image, to a registry or into a folder.
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { describeError } from '#local/fault.ts';

import { release } from './release.ts';

const USAGE = `Usage: npm run release -- <registry or folder> [--without-image] [--plain-http]

  npm run release -- oci://registry.example.com/team   pushes the image team/millrace, and the charts below team/charts
  npm run release -- dist                              writes the image and the charts as archives into the folder dist

  --without-image   the charts alone
  --plain-http      the registry has no TLS

The version is that of package.json; CHANGELOG.md has what has changed. It needs helm, and docker with buildx for the image; log in
to the registry with both before.`;

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    options: {
      'without-image': { type: 'boolean', default: false },
      'plain-http': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
    allowPositionals: true,
  });
  const [target] = positionals;
  if (values.help || target === undefined) return console.log(USAGE);
  await release({
    root: fileURLToPath(new URL('../..', import.meta.url)),
    target,
    image: !values['without-image'],
    plainHttp: values['plain-http'],
    say: console.log,
  });
  console.log(`released to ${target}`);
}

try {
  await main();
} catch (error) {
  console.error(describeError(error));
  process.exitCode = 1;
}
